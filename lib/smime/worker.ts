// The script of a worker thread for S/MIME.
import { serve } from '../crypto/serve.ts'
import { createJobs } from './jobs.ts'

void serve(createJobs())
