/** The licences of what is in the binaries: they ask to be handed on with every copy. */
import { join, resolve } from "node:path";
import { bundleProgram } from "../build/bundle.ts";
import type { BinaryName } from "../build/permissions.ts";
import { makePage } from "../build/page.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");

const LICENCE_FILE = /^(licen[cs]e|copying|notice)(\.(md|txt))?$/i;

/** Deno's own, which its npm package does not have in a place that is known before. */
const RUNTIME = `Deno, whose runtime is part of each binary, is under the MIT License
(https://github.com/denoland/deno); it contains V8 (BSD-3-Clause), SQLite (public domain),
aws-lc (Apache-2.0 and ISC), ICU (Unicode-3.0), zlib (Zlib) and crates of Rust (MIT, Apache-2.0, BSD,
ISC, Unicode, MPL-2.0), whose texts are in that repository and theirs.

Copyright 2018-2026 the Deno authors

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense,
and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT.
IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`;

/**
 * Every package in the binaries, with the licence that it names and the texts that it has.
 *
 * @param binaries Whose packages.
 */
export async function licencesOf(binaries: readonly BinaryName[]): Promise<string> {
  const bundles = await Promise.all(binaries.map((name) => bundleProgram(name, "/nowhere")));
  const folders = new Set([...bundles, await makePage()].flatMap(({ packages }) => packages));
  const sections = await Promise.all([...folders].sort().map(sectionOf));
  return [RUNTIME, ...sections].join(`\n${"=".repeat(80)}\n\n`);
}

async function sectionOf(folder: string): Promise<string> {
  const path = join(ROOT, folder);
  const manifest = JSON.parse(await Deno.readTextFile(join(path, "package.json")));
  const names = (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name)
    .filter((name) => LICENCE_FILE.test(name)).sort();
  const texts = await Promise.all(names.map((name) => Deno.readTextFile(join(path, name))));
  return [`${manifest.name} ${manifest.version}: ${manifest.license}`, ...texts]
    .map((text) => `${text.trim()}\n`).join("\n");
}
