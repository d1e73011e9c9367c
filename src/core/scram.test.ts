import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { test } from 'node:test';
import { parseScram, scramProofMatches, scramServerSignature, scramToText, scramVerifier } from './scram.ts';

/** The example of RFC 7677, section 3. */
const EXAMPLE = {
  salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
  iterations: 4096,
  auth:
    'n=user,r=rOprNGfwEbeRWgbNEkqO,' +
    'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,' +
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  proof: 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  signature: '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
};

function keysOf(password: string, salt: Buffer, iterations: number) {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  return {
    storedKey: createHash('sha256').update(hmac('Client Key')).digest(),
    serverKey: hmac('Server Key'),
    clientKey: hmac('Client Key'),
  };
}

test('the proof and the signature of the example in RFC 7677 are those that are expected', () => {
  const salt = Buffer.from(EXAMPLE.salt, 'base64');
  const { storedKey, serverKey } = keysOf('pencil', salt, EXAMPLE.iterations);
  const verifier = { algorithm: 'sha256' as const, salt, iterations: EXAMPLE.iterations, storedKey, serverKey };
  const proof = Buffer.from(EXAMPLE.proof, 'base64');
  assert.equal(scramProofMatches(verifier, EXAMPLE.auth, proof), true);
  assert.equal(scramServerSignature(verifier, EXAMPLE.auth).toString('base64'), EXAMPLE.signature);
  assert.equal(scramProofMatches(verifier, `${EXAMPLE.auth}x`, proof), false);
  assert.equal(scramProofMatches(verifier, EXAMPLE.auth, proof.subarray(1)), false);
  assert.equal(scramProofMatches(verifier, EXAMPLE.auth, Buffer.alloc(32)), false);
});

test('a verifier that was written down proves the password that it was made of, and no other', async () => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const made = await scramVerifier('pencil', algorithm);
    const verifier = parseScram(scramToText(made));
    assert.deepEqual(verifier, made);
  }
  const verifier = await scramVerifier('pencil', 'sha256');
  for (const [password, matches] of [
    ['pencil', true],
    ['Pencil', false],
  ] as const) {
    const { clientKey, storedKey } = keysOf(password, verifier.salt, verifier.iterations);
    const signature = createHmac('sha256', storedKey).update('what both said').digest();
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0)));
    assert.equal(scramProofMatches(verifier, 'what both said', proof), matches);
  }
});

test('a text of another form is no verifier', () => {
  for (const text of ['', 'scram-sha1:4096:AAAA:AAAA:AAAA', `scram-sha512:4096:${'A'.repeat(22)}:${'A'.repeat(43)}:x`])
    assert.throws(() => parseScram(text), { code: 'INVALID' });
});
