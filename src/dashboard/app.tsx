import { useEffect, useRef } from 'preact/hooks';
import type { ComponentType } from 'preact';
import { loginWanted, logOut, namespace, who } from './api.ts';
import { connection } from './live.ts';
import { link } from './model/place.ts';
import { AlertsPage } from './pages/alerts.tsx';
import { ConfigurationPage } from './pages/configuration.tsx';
import { ConnectionsPage } from './pages/connections.tsx';
import { DeadPage } from './pages/dead.tsx';
import { DeadQueuePage } from './pages/dead-queue.tsx';
import { HomePage } from './pages/home.tsx';
import { JournalPage } from './pages/journal.tsx';
import { LoginPage } from './pages/login.tsx';
import { QueuesPage } from './pages/queues.tsx';
import { RoutingPage } from './pages/routing.tsx';
import { SchedulesPage } from './pages/schedules.tsx';
import { SubscriptionPage } from './pages/subscription.tsx';
import { TopicPage } from './pages/topic.tsx';
import { TopicsPage } from './pages/topics.tsx';
import { UsersPage } from './pages/users.tsx';
import { NamespaceChoice } from './parts/namespace-choice.tsx';
import { Icon, type IconName } from './parts/icons.tsx';
import { place } from './parts/navigation.ts';
import { choose, chosen, type Theme } from './parts/theme.ts';
import { attempt, Toasts } from './parts/toasts.tsx';

interface Listed {
  path: string;
  title: string;
  icon: IconName;
  page: ComponentType;
  /** Of the broker as a whole: not offered to who may see namespaces alone. */
  of?: 'broker';
}

const PAGES: Listed[] = [
  { path: '', title: 'Home', icon: 'home', page: HomePage },
  { path: 'queues', title: 'Queues', icon: 'queues', page: QueuesPage },
  { path: 'topics', title: 'Topics', icon: 'topics', page: TopicsPage },
  { path: 'dead', title: 'Dead letters', icon: 'dead', page: DeadPage },
  { path: 'alerts', title: 'Alerts', icon: 'alerts', page: AlertsPage },
  { path: 'routing', title: 'Routing', icon: 'routing', page: RoutingPage },
  { path: 'schedules', title: 'Schedules', icon: 'schedules', page: SchedulesPage },
  { path: 'connections', title: 'Connections', icon: 'connections', page: ConnectionsPage, of: 'broker' },
  { path: 'users', title: 'Users', icon: 'users', page: UsersPage, of: 'broker' },
  { path: 'journal', title: 'Journal', icon: 'journal', page: JournalPage },
  { path: 'configuration', title: 'Configuration', icon: 'settings', page: ConfigurationPage, of: 'broker' },
];

export function App() {
  const content = useRef<HTMLElement>(null);
  const { path } = place.value;
  const key = JSON.stringify(path);
  const shown = useRef(key);
  useEffect(() => {
    document.title = path.length === 0 ? 'Railhead' : `${path.at(-1) ?? ''} · Railhead`;
    // Whoever reads with the ears begins at the new page, not at the link that led there.
    if (shown.current !== key) content.current?.focus();
    shown.current = key;
  }, [key]);
  if (loginWanted.value) return <LoginPage />;
  return (
    <div class="shell">
      <a class="skip" href="#content" onClick={(event) => (event.preventDefault(), content.current?.focus())}>
        Skip to the content
      </a>
      <Sidebar />
      <main id="content" ref={content} tabIndex={-1}>
        <Page key={namespace.value} path={path} />
      </main>
      <Toasts />
    </div>
  );
}

function Page({ path }: { path: string[] }) {
  const [kind = '', name, subscription] = path;
  if (kind === 'queues' && name !== undefined) return <SubscriptionPage key={name} topic={name} subscription={name} />;
  if (kind === 'topics' && name !== undefined && subscription !== undefined)
    return <SubscriptionPage key={`${name}\n${subscription}`} topic={name} subscription={subscription} />;
  if (kind === 'dead' && name !== undefined) return <DeadQueuePage key={name} queue={name} />;
  if (kind === 'topics' && name !== undefined) return <TopicPage key={name} topic={name} />;
  const Found = PAGES.find((page) => page.path === kind)?.page;
  if (Found !== undefined) return <Found />;
  return (
    <div class="empty">
      <h1>There is no such page</h1>
      <p>
        The address may be of another version. <a href={link()}>Go home</a>.
      </p>
    </div>
  );
}

function Sidebar() {
  const here = place.value.path[0] ?? '';
  const offered = PAGES.filter(({ of }) => of !== 'broker' || (who.value?.adminOfAll ?? true));
  return (
    <header class="sidebar">
      <a class="brand" href={link()}>
        <Mark />
        Railhead
      </a>
      <nav aria-label="Pages">
        {offered.map(({ path, title, icon }) => (
          <a key={path} href={link(...(path === '' ? [] : [path]))} aria-current={here === path ? 'page' : undefined}>
            <Icon name={icon} />
            {title}
          </a>
        ))}
      </nav>
      <div class="sidebar-foot">
        <Status />
        <NamespaceChoice />
        <Me />
        <ThemeChoice />
      </div>
    </header>
  );
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
      <path class="ties" d="M5 6.5h14M5 12h14M5 17.5h14" />
      <path d="M8.5 3v18M15.5 3v18" />
    </svg>
  );
}

function Status() {
  const now = connection.value;
  if (now.state === 'open') return <p class="status open">Live</p>;
  if (now.state === 'connecting') return <p class="status">Connecting…</p>;
  return (
    <p class="status lost" role="alert">
      Not connected<span class="small">{now.why}</span>
    </p>
  );
}

function Me() {
  const me = who.value;
  if (me === undefined || me.csrf === null) return null;
  return (
    <div class="me">
      <span class="muted small">{me.name}</span>
      <button type="button" class="link" onClick={() => attempt(logOut)}>
        Log out
      </button>
    </div>
  );
}

const THEMES: [Theme, string][] = [
  ['system', 'Auto'],
  ['light', 'Light'],
  ['dark', 'Dark'],
];

function ThemeChoice() {
  return (
    <div class="choice" role="group" aria-label="Colours">
      {THEMES.map(([theme, title]) => (
        <button key={theme} type="button" aria-pressed={chosen.value === theme} onClick={() => choose(theme)}>
          {title}
        </button>
      ))}
    </div>
  );
}
