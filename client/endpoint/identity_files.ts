/** What an identity is made of: files, or texts. */

/** Where the identity's three parts are; any file may hold more than one of them. */
export interface IdentityFiles {
  /** One bundle with key, certificate and, unless `ca` is given, the CA. */
  readonly identity?: string | undefined;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** The PEM texts of an identity and the files they came from. */
export interface IdentityParts {
  readonly keys: readonly string[];
  readonly certificates: readonly string[];
  /** The CA's certificates where a file of their own was named. */
  readonly authorities: readonly string[] | undefined;
  readonly keyFile: string;
  readonly certFile: string;
  readonly caFile: string;
}
