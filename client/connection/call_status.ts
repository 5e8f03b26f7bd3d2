/**
 * What HTTP/2 tells of how a call has ended, as a gRPC status (grpc/doc/PROTOCOL-HTTP2.md and
 * http-grpc-status-mapping.md). Pure.
 */
import { type CallStatus, GrpcStatus } from "../errors.ts";

/** Headers or trailers as `node:http2` gives them. */
export type ReceivedHeaders = Readonly<Record<string, string | number | string[] | undefined>>;

/** Error codes of HTTP/2 that say something about a call (RFC 9113, section 7). */
const ErrorCode = {
  noError: 0,
  refusedStream: 7,
  cancel: 8,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
} as const;

/** How a stream ended that brought no status. */
export interface StreamEnd {
  /** The code of its reset; 0 where it ended as it should. */
  readonly errorCode: number;
  /** Of the answer's head; undefined where there was none. */
  readonly httpStatus: number | undefined;
  /** What the runtime said went wrong on this side. */
  readonly problem: string | undefined;
  /** Whether the connection was gone. */
  readonly isDropped: boolean;
}

/** The status that headers hold; undefined where they are not the last ones. */
export function statusIn(headers: ReceivedHeaders): CallStatus | undefined {
  const code = headers["grpc-status"];
  if (code === undefined) return undefined;
  const message = headers["grpc-message"];
  return {
    code: /^\d{1,3}$/.test(String(code)) ? Number(code) : GrpcStatus.unknown,
    details: typeof message === "string" ? withoutPercents(message) : "",
  };
}

/** The status of an answer that does not come from a gRPC server. */
export function statusOfHttp(httpStatus: number): CallStatus {
  return { code: codeOfHttp(httpStatus), details: `Received HTTP status code ${httpStatus}` };
}

/** The status of a stream that ended without one. */
export function statusOfEnd({ errorCode, httpStatus, problem, isDropped }: StreamEnd): CallStatus {
  if (isDropped) return { code: GrpcStatus.unavailable, details: "Connection dropped" };
  switch (errorCode) {
    case ErrorCode.noError:
      return httpStatus !== undefined && httpStatus !== 200
        ? statusOfHttp(httpStatus)
        : reset(errorCode, "Call ended without gRPC status");
    case ErrorCode.refusedStream:
      return { code: GrpcStatus.unavailable, details: "Stream refused by server" };
    case ErrorCode.cancel:
      return { code: GrpcStatus.cancelled, details: "Call cancelled" };
    case ErrorCode.enhanceYourCalm:
      return {
        code: GrpcStatus.resourceExhausted,
        details: "Bandwidth exhausted or memory limit exceeded",
      };
    case ErrorCode.inadequateSecurity:
      return { code: GrpcStatus.permissionDenied, details: "Protocol not secure enough" };
    default:
      return reset(errorCode, problem);
  }
}

function reset(errorCode: number, why: string | undefined): CallStatus {
  const details = `Received RST_STREAM with code ${errorCode}${why ? ` (${why})` : ""}`;
  return { code: GrpcStatus.internal, details };
}

function codeOfHttp(httpStatus: number): number {
  switch (httpStatus) {
    case 400:
      return GrpcStatus.internal;
    case 401:
      return GrpcStatus.unauthenticated;
    case 403:
      return GrpcStatus.permissionDenied;
    case 404:
      return GrpcStatus.unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return GrpcStatus.unavailable;
    default:
      return GrpcStatus.unknown;
  }
}

/** Messages are percent-encoded UTF-8; one that is not is shown as it came. */
function withoutPercents(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
