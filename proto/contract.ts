/**
 * The wire contract as grpc-js takes it: the only thing that server and client share.
 *
 * The descriptor and the types are made from job_service.proto by tools/gen.ts.
 */
import { fromJSON } from "@grpc/proto-loader";
import type { INamespace } from "protobufjs";
import descriptor from "../build/gen/job_service.json" with { type: "json" };
import type { JobServiceDefinition } from "../build/gen/JobService.ts";

export type { JobLimits, JobLimits__Output } from "../build/gen/JobLimits.ts";
export type {
  JobServiceClient,
  JobServiceDefinition,
  JobServiceHandlers,
} from "../build/gen/JobService.ts";
export type { JobUsage, JobUsage__Output } from "../build/gen/JobUsage.ts";
export type { QueryResponse, QueryResponse__Output } from "../build/gen/QueryResponse.ts";
export type { StartRequest, StartRequest__Output } from "../build/gen/StartRequest.ts";
export type { StreamRequest, StreamRequest__Output } from "../build/gen/StreamRequest.ts";
export type { StreamResponse, StreamResponse__Output } from "../build/gen/StreamResponse.ts";

/** 64-bit numbers are read as JavaScript numbers: no offset or time here passes 2^53. */
const definition = fromJSON(descriptor as unknown as INamespace, {
  longs: Number,
  enums: String,
  defaults: true,
});

/** The methods of JobService, as `Server.addService` and `makeClientConstructor` take them. */
export const jobService = definition["JobService"] as unknown as JobServiceDefinition;
