// The script of a worker thread.
import { loadBls12381 } from '../crypto/mcl.ts'
import { serve } from '../crypto/serve.ts'
import { createJobs } from './jobs.ts'

void serve(loadBls12381().then((curve) => createJobs(curve)))
