/** Starts test brokers, in a process where nothing is warm. */
export async function start() {
  return {
    measure: async (): Promise<{ loadMs: number; readyMs: number[] }> => {
      const begin = performance.now();
      const { testBroker } = await import('../../src/testing/index.ts');
      const loadMs = performance.now() - begin;
      const readyMs: number[] = [];
      for (let i = 0; i < 4; i++) {
        const start = performance.now();
        const broker = await testBroker();
        readyMs.push(performance.now() - start);
        await broker.close();
      }
      return { loadMs, readyMs };
    },
  };
}

export type TestBrokerRole = Awaited<ReturnType<typeof start>>;
