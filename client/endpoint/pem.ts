/** One block of a PEM file (RFC 7468). */
export interface PemBlock {
  /** What stands after BEGIN, for instance `CERTIFICATE`. */
  readonly label: string;
  /** The block as it stands in the file, from BEGIN to END. */
  readonly text: string;
}

/** Splits a PEM file into its blocks; text between them is comment and left out. */
export function splitPem(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  const pattern = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g;
  for (const match of text.matchAll(pattern)) {
    blocks.push({ label: match[1] ?? "", text: `${match[0]}\n` });
  }
  return blocks;
}

/** Whether the label is that of a private key (PKCS #8, PKCS #1 or SEC 1, encrypted or not). */
export function isKeyLabel(label: string): boolean {
  return label.endsWith("PRIVATE KEY");
}
