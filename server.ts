import { jobService } from "./proto/contract.ts";
console.log(Object.keys(jobService));
