// The script of a worker thread for OpenPGP.
import { serve } from '../crypto/serve.ts'
import { createJobs } from './jobs.ts'

void serve(createJobs())
