import assert from "node:assert/strict";
import {
  joinWords,
  QuoteError,
  shellHint,
  splitLines,
  splitWords,
} from "../../client/ui/page/words.ts";

const SPLIT: readonly (readonly [text: string, words: string[]])[] = [
  ["", []],
  ["  \n\t ", []],
  ["ls -la /", ["ls", "-la", "/"]],
  [" ls\n-la\\\t/ ", ["ls", "-la\t/"]],
  ["sh -c 'echo \"$HOME\" \\n | cat'", ["sh", "-c", 'echo "$HOME" \\n | cat']],
  ['echo "a \\"b\\" \\\\ \\n $x"', ["echo", 'a "b" \\ \\n $x']],
  ["a'b'\"c\"d", ["abcd"]],
  ["'' \"\"", ["", ""]],
  ["\\'a \\\\ a\\ b", ["'a", "\\", "a b"]],
  ["a | b > c # *", ["a", "|", "b", ">", "c", "#", "*"]],
  ["é 日本 '😀 x'", ["é", "日本", "😀 x"]],
];
for (const [text, words] of SPLIT) {
  Deno.test(`splitWords: ${JSON.stringify(text)}`, () => {
    assert.deepEqual(splitWords(text), words);
  });
}

for (const text of ["'", '"', "a 'b", 'a "b\\"', "a\\", '"\\']) {
  Deno.test(`splitWords: ${JSON.stringify(text)} has no end`, () => {
    assert.throws(() => splitWords(text), QuoteError);
  });
}

Deno.test("splitLines: one word a line; a line end at the end adds none", () => {
  assert.deepEqual(splitLines(""), []);
  assert.deepEqual(splitLines("ls\n -la 'x'\n"), ["ls", " -la 'x'"]);
  assert.deepEqual(splitLines("a\r\n\r\nb\n\n"), ["a", "", "b", ""]);
});

Deno.test("shellHint: only for what a shell would do", () => {
  for (const words of [["a", "|", "b"], ["a", ">x"], ["a", "2>&1"], ["a", "$HOME"], ["a", "*"]]) {
    assert.match(shellHint(words) ?? "", /there is no shell/, words.join(" "));
  }
  for (const words of [[], ["a"], ["sh", "-c", "a | b > c"], ["a", "x>y"], ["a", "$"]]) {
    assert.equal(shellHint(words), undefined, words.join(" "));
  }
});

Deno.test("joinWords: is undone by splitWords", () => {
  for (const [, words] of SPLIT) assert.deepEqual(splitWords(joinWords(words)), words);
  const words = ["sh", "-c", 'it\'s "$x" \\ \n', "", "'", "a=b c"];
  assert.deepEqual(splitWords(joinWords(words)), words);
  assert.equal(joinWords(["ls", "-la", "/srv/x=1", "a b"]), "ls -la /srv/x=1 'a b'");
});
