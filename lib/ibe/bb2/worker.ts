// The script of a worker thread for BB2: mcl has one curve a thread, so that it cannot share those of Boneh-Franklin.
import { loadBn254 } from '../../crypto/bn254.ts'
import { serve } from '../../crypto/serve.ts'
import { createJobs } from './jobs.ts'

void serve(loadBn254().then((curve) => createJobs(curve)))
