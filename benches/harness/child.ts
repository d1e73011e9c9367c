import { serve } from './process.ts';

serve(() => import(`../roles/${process.argv[2]}.ts`));
