/** What deploy/ has is what this version understands, and the tools that are here find nothing wrong with it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { checkConfig } from '../src/server/config.ts';
import { allSettings } from '../src/server/settings.ts';

const deploy = resolve(import.meta.dirname, '../deploy');
const unit = join(deploy, 'systemd/railhead.service');
const noSystemd =
  spawnSync('systemd-analyze', ['--version']).error === undefined ? false : 'systemd-analyze is not installed';
const TOKEN = { token: 'a-token-that-is-long-enough' };
const variables = new Set(allSettings().map(({ env }) => env));

test('systemd takes the unit', { skip: noSystemd }, () => {
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
});

test('the unit leaves the broker little that it could do to the machine', { skip: noSystemd }, () => {
  const args = ['security', '--offline=true', '--no-pager', '--threshold=35', unit];
  const { status, stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});

for (const file of ['systemd/railhead.service', 'docker/Dockerfile', 'kubernetes/railhead.yml']) {
  test(`${file} sets nothing that there is not`, () => {
    const text = readFileSync(join(deploy, file), 'utf8');
    for (const [name] of text.matchAll(/\bRAILHEAD_[A-Z_]+\b/g)) assert.ok(variables.has(name), name);
  });
}

interface Manifest {
  kind: string;
  data: Record<string, string>;
  spec: {
    replicas: number;
    ports: { port: number; targetPort: string }[];
    template: {
      spec: {
        securityContext: { runAsNonRoot: boolean };
        containers: {
          args: string[];
          ports: { name: string; containerPort: number }[];
          securityContext: { readOnlyRootFilesystem: boolean };
          volumeMounts: { mountPath: string }[];
        }[];
      };
    };
  };
}

function manifests(): Map<string, Manifest> {
  const documents = parseAllDocuments(readFileSync(join(deploy, 'kubernetes/railhead.yml'), 'utf8'));
  return new Map(
    documents.map((document) => {
      assert.deepEqual(document.errors, []);
      const manifest = document.toJS() as Manifest;
      return [manifest.kind, manifest];
    }),
  );
}

test('the broker of the Kubernetes manifests starts from their settings, with a login, as one at a time', () => {
  const all = manifests();
  const config: unknown = parse(all.get('ConfigMap')?.data['railhead.yml'] ?? '');
  const checked = checkConfig({ ...(config as object), ...TOKEN });
  const set = all.get('StatefulSet')?.spec;
  const [container] = set?.template.spec.containers ?? [];
  assert.equal(set?.replicas, 1);
  assert.equal(set.template.spec.securityContext.runAsNonRoot, true);
  assert.equal(container?.securityContext.readOnlyRootFilesystem, true);
  assert.ok(container.volumeMounts.some(({ mountPath }) => mountPath === checked.dir));
});

test('services lead to ports of the container', () => {
  const all = manifests();
  const ports = new Map(
    all
      .get('StatefulSet')
      ?.spec.template.spec.containers[0]?.ports.map(({ name, containerPort }) => [name, containerPort]),
  );
  const service = all.get('Service')?.spec.ports ?? [];
  assert.ok(service.length >= 4);
  for (const { port, targetPort } of service) assert.equal(ports.get(targetPort), port);
});

test('the image runs as nobody in particular and keeps its data in a volume', () => {
  const lines = readFileSync(join(deploy, 'docker/Dockerfile'), 'utf8').split('\n');
  for (const line of ['USER 10001:10001', 'VOLUME /data', 'STOPSIGNAL SIGTERM', 'ENTRYPOINT ["railhead"]'])
    assert.ok(lines.includes(line), line);
});
