#!/usr/bin/env node
import { keepCompiled } from './compiled.ts';

// `railhead ls | head` closes the pipe early: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`railhead: this is Node ${process.versions.node}; use 22.18 or newer.\n`);
  process.exitCode = 1;
} else {
  keepCompiled();
  // Only what is loaded from here on is kept.
  void import('./run.ts')
    .then(({ run }) => run(process.argv.slice(2)))
    .then((code) => {
      process.exitCode = code;
    });
}
