import { createTransport } from 'nodemailer';
import type { Signup } from '../pipeline.ts';

export const SENDER = 'welcome@railhead.example';
export const SIGNUP_HEADER = 'X-Signup-Id';

/** Sends welcome e-mails over SMTP. */
export interface Mailer {
  /** Resolves when the mail server has taken it. */
  welcome(signup: Signup): Promise<void>;
  close(): void;
}

export function mailerTo(port: number): Mailer {
  const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true, pool: true, maxConnections: 8 });
  return {
    async welcome({ id, name, email, plan }) {
      await transport.sendMail({
        from: SENDER,
        to: email,
        subject: `Welcome, ${name}`,
        text: `Hello ${name},\n\nyour ${plan} account is ready.\n`,
        headers: { [SIGNUP_HEADER]: id },
      });
    },
    close: () => transport.close(),
  };
}
