/**
 * The wire contract as grpc-js takes it: the only thing that server and client share.
 *
 * The code and the types are made from job_service.proto by tools/build/gen.ts.
 */
import { isRecoded as isRecodedMessage, services } from "../build/gen/codec.ts";
import { files } from "../build/gen/descriptors.ts";
import type { JobServiceDefinition } from "../build/gen/JobService.ts";

export type { Event, Event__Output } from "../build/gen/Event.ts";
export type { EventsRequest, EventsRequest__Output } from "../build/gen/EventsRequest.ts";
export type { InfoResponse__Output } from "../build/gen/InfoResponse.ts";
export type { InputRequest, InputRequest__Output } from "../build/gen/InputRequest.ts";
export type { InputResponse, InputResponse__Output } from "../build/gen/InputResponse.ts";
export type { DiskLimit, DiskLimit__Output } from "../build/gen/DiskLimit.ts";
export type { JobLimits, JobLimits__Output } from "../build/gen/JobLimits.ts";
export type {
  JobServiceClient,
  JobServiceDefinition,
  JobServiceHandlers,
} from "../build/gen/JobService.ts";
export type { JobUsage, JobUsage__Output } from "../build/gen/JobUsage.ts";
export type { ListRequest, ListRequest__Output } from "../build/gen/ListRequest.ts";
export type { ListResponse, ListResponse__Output } from "../build/gen/ListResponse.ts";
export type { QueryResponse, QueryResponse__Output } from "../build/gen/QueryResponse.ts";
export type { StartRequest, StartRequest__Output } from "../build/gen/StartRequest.ts";
export type { StreamRequest, StreamRequest__Output } from "../build/gen/StreamRequest.ts";
export type { StreamResponse, StreamResponse__Output } from "../build/gen/StreamResponse.ts";
export type { UpdateRequest, UpdateRequest__Output } from "../build/gen/UpdateRequest.ts";

/** The methods of JobService, as `Server.addService` and `makeClientConstructor` take them. */
export const jobService = services.JobService as unknown as JobServiceDefinition;

/** Whether a text in a request was not UTF-8, so that the message is not what was sent. */
export function isRecoded(request: unknown): boolean {
  return isRecodedMessage(request);
}

/** Descriptors of the contract and of the services beside it: FileDescriptorProtos, serialized. */
export function contractFiles(): Uint8Array[] {
  return files.map((text) => Uint8Array.fromBase64(text));
}
