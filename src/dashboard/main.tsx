import { render } from 'preact';
import { App } from './app.tsx';
import { recognise } from './api.ts';
import { start } from './live.ts';
import { startTheme } from './parts/theme.ts';
import './style/tokens.css';
import './style/base.css';
import './style/shell.css';
import './style/parts.css';
import './style/pages.css';

startTheme();
start();
// Refused, it has asked for a login; without a connection the stream says so and tries again.
recognise().catch(() => undefined);
const place = document.getElementById('app');
if (place !== null) render(<App />, place);
