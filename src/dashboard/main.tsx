import { render } from 'preact';
import { App } from './app.tsx';
import { start } from './live.ts';
import { startTheme } from './parts/theme.ts';
import './style/tokens.css';
import './style/base.css';
import './style/shell.css';
import './style/parts.css';
import './style/pages.css';

startTheme();
start();
const place = document.getElementById('app');
if (place !== null) render(<App />, place);
