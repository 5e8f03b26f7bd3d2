/** The page of `worker-client ui` in a browser. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { testUnless } from "../support/skip.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { UiHost } from "../support/ui_host.ts";

const CHROMIUM = "/usr/bin/chromium";

const isThere = await Deno.stat(CHROMIUM).then(() => true, () => false);
const reason = isThere ? undefined : `${CHROMIUM} is not installed`;

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Where screenshots are kept, if the variable is set. */
const PICTURES = Deno.env.get("JOB_WORKER_TEST_PICTURES");

interface World {
  readonly server: TestServer;
  readonly host: UiHost;
  readonly page: Page;
  /** What the browser complained of: errors of scripts, and what the policy has kept out. */
  readonly complaints: string[];
  /** Takes a screenshot. */
  picture(name: string): Promise<void>;
}

/** The library keeps timers and a connection to the browser between tests. */
const BROWSER_TEST = { sanitizeOps: false, sanitizeResources: false };

/** Opens the page in a browser of its own. */
async function browse(
  { identity = "alice" }: { identity?: string },
  test: (world: World) => Promise<void>,
): Promise<void> {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server, { identity });
  const folder = await Deno.makeTempDir({ prefix: "job-worker-browser-" });
  let browser: Browser | undefined;
  try {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: FLAGS,
      env: { ...Deno.env.toObject(), HOME: folder, TMPDIR: folder },
    });
    const page = await browser.newPage({
      viewport: { width: 1280, height: 850 },
      permissions: ["clipboard-read", "clipboard-write"],
    });
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      // What the server refuses is shown on the page; the browser says it too.
      const isRefusal = message.text().startsWith("Failed to load resource");
      if (message.type() === "error" && !isRefusal) complaints.push(message.text());
    });
    await page.goto(host.url);
    const picture = async (name: string) => {
      const path = join(PICTURES ?? folder, `${name}.png`);
      await page.screenshot({ path });
      assert((await Deno.stat(path)).size > 5_000, name);
    };
    try {
      await test({ server, host, page, complaints, picture });
    } catch (error) {
      await picture("failed");
      throw error;
    }
    assert.deepEqual(complaints, []);
  } finally {
    await browser?.close();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Fills in the form, and presses its button. */
async function startByForm(page: Page, command: string, name: string): Promise<void> {
  await page.getByRole("link", { name: "Start a job" }).click();
  await page.getByLabel("Command", { exact: true }).fill(command);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByRole("button", { name: "Start", exact: true }).click();
}

/** Shell commands that keep a core busy for some ten milliseconds. */
const BUSY = "j=0; while [ $j -lt 20000 ]; do j=$((j+1)); done";

/** A job that counts, and keeps a core and a disk a bit busy. */
const COUNTER =
  `sh -c 'i=0; while :; do i=$((i+1)); printf "\\033[32mtick\\033[0m %d <b>no</b>\\n" $i; ` +
  `${BUSY}; done'`;

testUnless(reason, {
  ...BROWSER_TEST,
  name: "page: a job is started by the form, followed, searched, plotted and stopped",
  fn: () =>
    browse({}, async ({ server, page, picture }) => {
      await startByForm(page, COUNTER, "counter");
      const pane = page.getByRole("log");
      await pane.getByText("tick 3 <b>no</b>").waitFor();
      assert.equal(await pane.locator("b").count(), 0, "output became markup");
      assert.equal(await pane.locator("span.foreground-2").first().textContent(), "tick");
      await page.getByText("live").waitFor();
      const canvases = page.locator(".plot canvas");
      assert.equal(await canvases.count(), 3);
      await page.locator(".plot", { hasText: "CPU" }).getByText(/\d+ %/).waitFor();
      await page.getByLabel("Search the output").fill("tick 2 ");
      await page.getByText("1/1").waitFor();
      assert.match(page.url(), /\?find=tick\+2\+$/);
      assert.match(await page.title(), /^counter: running on localhost:\d+$/);
      const [{ jobID = "" } = {}] = (await server.client().list()).jobs;
      await page.getByRole("button", { name: "Copy the job's id" }).click();
      await page.getByText("Copied").waitFor();
      assert.equal(await page.evaluate("navigator.clipboard.readText()"), jobID);
      // There is something to see in the plots by then.
      await until("some looks", async () => {
        const text = await page.locator(".facts").textContent();
        return /CPU([1-9]|0\.[3-9])/.test(text ?? "");
      });
      await picture("job");
      await page.getByRole("button", { name: "Stop…" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
      assert.equal((await server.client().list()).jobs[0]?.exited, false, "Cancel stopped it");
      await page.getByRole("button", { name: "Stop…" }).click();
      await picture("stop");
      await page.getByRole("dialog").getByRole("button", { name: "Stop" }).click();
      await page.getByText("143 (signal 15)").first().waitFor();
      await page.getByRole("button", { name: "To the end" }).click();
      await page.getByText("complete").waitFor();
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("link", { name: "Download" }).click(),
      ]);
      assert.equal(download.suggestedFilename(), `counter-${jobID.slice(0, 8)}.log`);
      const saved = await Deno.readTextFile(await download.path());
      assert(saved.startsWith("\x1b[32mtick\x1b[0m 1 <b>no</b>\n"), saved.slice(0, 50));
      await page.getByRole("link", { name: "Start again…" }).click();
      await page.getByText("Start counter again").waitFor();
      assert.equal(await page.getByLabel("Command", { exact: true }).inputValue(), COUNTER);
      assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "counter");
      await page.goBack();
      await page.getByRole("button", { name: "Remove…" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
      await page.getByText("There are no jobs yet.").waitFor();
    }),
});

/** Windows of laptops and screens, and one of a phone. */
const SIZES = [[1280, 720], [1600, 900], [1920, 1080], [390, 844]] as const;

testUnless(reason, {
  ...BROWSER_TEST,
  name:
    "page: the newest line is in sight in windows of all sizes, and Follow says whether it follows",
  fn: () =>
    browse({}, async ({ server, page, picture }) => {
      const id = await server.client().shell(
        "i=0; while :; do i=$((i+1)); echo number $i; sleep 0.1; done",
      );
      await page.goto(`${page.url()}#/job/${id}`);
      const pane = page.getByRole("log");
      const last = pane.locator(".line").last();
      await pane.getByText("number 40").waitFor();
      for (const [width, height] of SIZES) {
        await page.setViewportSize({ width, height });
        await until(`the newest line in a window of ${width}x${height}`, async () => {
          const { y = Infinity, height: high = 0 } = await last.boundingBox() ?? {};
          return y + high <= height;
        });
        const { y = 0, height: high = 0 } = await pane.boundingBox() ?? {};
        assert(high >= height * 0.55, `at ${width}x${height} the output is ${high} high`);
        assert(y < height * 0.4, `at ${width}x${height} the output begins at ${y}`);
        await picture(`follow-${width}x${height}`);
      }
      await page.setViewportSize({ width: 1280, height: 720 });
      const follow = page.getByLabel("Follow");
      assert(await follow.isChecked());
      await pane.hover();
      await page.mouse.wheel(0, -200);
      await until("Follow to be off", async () => !await follow.isChecked());
      const seen = await last.textContent();
      await page.getByText(/ B after this are not shown/).waitFor();
      assert.equal(await last.textContent(), seen, "it went on though Follow was off");
      await page.mouse.wheel(0, 10_000);
      await until("Follow to be on", () => follow.isChecked());
      await until("new lines", async () => await last.textContent() !== seen);
      await page.getByLabel("Search the output").fill("nothing like it");
      await page.getByText("0/0").waitFor();
      assert(await follow.isChecked(), "there is nothing to stay at");
      await page.getByLabel("Search the output").fill("number 33");
      await until("Follow to be off", async () => !await follow.isChecked());
      await follow.check();
      await page.getByText("live").waitFor();
      await follow.uncheck();
      await page.getByText("partial").waitFor();
    }),
});

testUnless(reason, {
  ...BROWSER_TEST,
  name: "page: the table is filtered by state, text and label, in light, dark and narrow",
  fn: () =>
    browse({}, async ({ server, page, picture }) => {
      const client = server.client();
      const labels = { team: "billing" };
      await client.startWith({ name: "sleep", args: ["600"], title: "nightly-report", labels });
      for (const code of [0, 3]) await client.wait(await client.shell(`exit ${code}`));
      await client.wait(await client.shell("kill -9 $$"));
      for (let count = 0; count < 55; count += 1) await client.startWith({ name: "true" });
      const rows = page.locator("tbody tr");
      await until("a page of jobs", async () => await rows.count() === 50);
      await page.getByRole("link", { name: "Older →" }).click();
      await until("the rest", async () => await rows.count() === 9);
      // Every place of a row opens its job, and the way back leads to the same part of the table.
      const nightly = rows.filter({ hasText: "nightly-report" });
      await nightly.locator("td").last().click({ force: true });
      await page.getByRole("heading", { name: "nightly-report" }).waitFor();
      await page.getByRole("link", { name: "All jobs" }).click();
      await until("the rest again", async () => await rows.count() === 9);
      await picture("jobs");
      await nightly.getByRole("link", { name: "team=billing" }).click();
      await until("jobs with the label", async () => await rows.count() === 1);
      await page.getByRole("link", { name: "Jobs", exact: true }).click();
      await page.getByRole("radio", { name: "Failed" }).check();
      await until("those that have failed", async () => await rows.count() === 2);
      assert.equal(await page.getByText(/were searched/).count(), 0);
      await page.reload();
      await until("the same after a reload", async () => await rows.count() === 2);
      await until("the title", async () => /^Failed jobs on /.test(await page.title()));
      await page.getByRole("radio", { name: "Running" }).check();
      await until("the running ones", async () => await rows.count() === 1);
      await page.getByRole("radio", { name: "All" }).check();
      await page.getByPlaceholder(/^Search id/).fill("kill -9");
      await until("the one that was killed", async () => await rows.count() === 1);
      assert.match(await rows.first().textContent() ?? "", /137 \(signal 9\)/);
      await page.getByText("All 59 jobs were searched.").waitFor();
      await page.getByPlaceholder(/^Search id/).fill("");
      const label = page.getByPlaceholder("Label KEY=VALUE");
      await label.fill("team=billing");
      await until("the labelled one", async () => await rows.count() === 1);
      await label.fill("nonsense");
      await page.getByText("A label is written KEY=VALUE").waitFor();
      await label.fill("");
      await until("all again", async () => await rows.count() === 50);
      await page.emulateMedia({ colorScheme: "dark" });
      await picture("jobs-dark");
      await page.setViewportSize({ width: 390, height: 800 });
      const overflow = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth",
      );
      assert.equal(overflow, 0, "the page is wider than a narrow window");
      await picture("jobs-narrow");
    }),
});

testUnless(reason, {
  ...BROWSER_TEST,
  name: "page: large output is shown in part, with words for what is left out",
  fn: () =>
    browse({}, async ({ server, page, picture }) => {
      const client = server.client();
      const id = await client.shell("seq 1 400000; echo the end");
      await client.wait(id);
      await page.goto(`${page.url()}#/job/${id}`);
      const pane = page.getByRole("log");
      await pane.getByText("the end").waitFor();
      assert(await pane.locator(".line").count() <= 50_000);
      await page.getByText(/MiB before this are not shown/).waitFor();
      const text = await pane.textContent();
      assert(!text?.includes("the beginning"));
      await page.getByLabel("Search the output").fill("123456");
      await page.getByText("0/0").waitFor();
      await page.getByRole("button", { name: "In all" }).click();
      await pane.getByText("123456", { exact: true }).waitFor();
      await page.getByText("1/1").waitFor();
      await picture("part");
      await page.getByLabel("Search the output").fill("there is no such thing");
      await page.getByRole("button", { name: "In all" }).click();
      await page.getByText("Not found in the output").waitFor();
      await page.getByRole("button", { name: "From the beginning" }).click();
      await pane.getByText("1", { exact: true }).waitFor();
      await page.getByRole("button", { name: "To the end" }).click();
      await pane.getByText("the end").waitFor();
      await page.getByRole("button", { name: "Earlier" }).click();
      await page.getByText("partial").waitFor();
    }),
});

testUnless(reason, {
  ...BROWSER_TEST,
  name: "page: a job that writes without end does not sink it",
  fn: () =>
    browse({}, async ({ server, host, page }) => {
      const id = await server.client().shell("yes 'more and more and more of it'");
      await page.goto(`${page.url()}#/job/${id}`);
      // What scrolls by takes its notes along; how much is not shown stands above it.
      await page.getByText(/MiB before this are not shown/).waitFor();
      const lines = await page.locator(".line").count();
      assert(lines <= 5_000, `${lines} lines`);
      // It still answers.
      await page.getByRole("button", { name: "Stop…" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Stop" }).click();
      await page.getByText("143 (signal 15)").first().waitFor();
      const status = await Deno.readTextFile(`/proc/${host.pid}/status`);
      const kibibytes = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
      assert(kibibytes < 400 * 1024, `${kibibytes} KiB`);
    }),
});

testUnless(reason, {
  ...BROWSER_TEST,
  name: "page: a reader is offered nothing that is refused",
  fn: () =>
    browse({ identity: "bob" }, async ({ server, page, picture }) => {
      const id = await server.client().shell("echo hello; exec sleep 600");
      await page.getByText("bob (reader)").waitFor();
      assert.equal(await page.getByRole("link", { name: "Start a job" }).count(), 0);
      await page.keyboard.press("j");
      await until("the job's row", async () => await page.locator("tbody tr").count() === 1);
      await page.locator("tbody tr").click();
      await page.getByRole("log").getByText("hello").waitFor();
      assert.equal(await page.locator(".actions").count(), 0);
      await page.keyboard.press("n");
      assert(page.url().endsWith(`#/job/${id}`), page.url());
      await picture("reader");
      await page.evaluate("location.hash = '#/start'");
      await page.getByText("only a writer may start jobs").waitFor();
      assert.equal(await page.getByRole("button", { name: "Start", exact: true }).count(), 0);
    }),
});

testUnless(reason, {
  ...BROWSER_TEST,
  name: "page: says what is wrong with a form, and what the server refuses",
  fn: () =>
    browse({}, async ({ server, page, picture }) => {
      await page.getByRole("link", { name: "Start a job" }).click();
      await page.getByLabel("Command", { exact: true }).fill("ls 'a b");
      await page.getByText("A ' is not closed.").waitFor();
      assert(await page.getByRole("button", { name: "Start", exact: true }).isDisabled());
      await startByForm(page, "/does/not/exist > file", "");
      await page.getByText("|, >, &&, $ and * are passed").waitFor();
      await page.getByText("/does/not/exist").last().waitFor();
      await page.locator("form .trouble").waitFor();
      assert.equal((await server.client().list()).jobs.length, 0);
      await picture("refused");
    }),
});

testUnless(reason, {
  ...BROWSER_TEST,
  name:
    "page: figures are the job's, it goes on by itself when the server comes back, and says when " +
    "the client has gone",
  fn: () =>
    browse({}, async ({ server, host, page, picture }) => {
      const id = await server.client().script(`while :; do echo tock; ${BUSY}; done`, {
        limits: { cpuCores: 0.2 },
      });
      await page.goto(`${page.url()}#/job/${id}`);
      // The command above holds the word as well.
      await page.getByRole("log").getByText("tock").first().waitFor();
      const cpu = page.locator(".plot", { hasText: "CPU" }).locator(".now");
      const seen: string[] = [];
      await until("some looks at the job", async () => {
        const text = await cpu.textContent() ?? "";
        if (/\d/.test(text) && text !== seen.at(-1)) seen.push(text);
        const used = await page.getByText(/^\d+\.\d s used/).textContent() ?? "";
        return seen.length >= 6 || seen.length > 0 && Number.parseFloat(used) > 1;
      });
      // A host that is busy gives it less than its limit; the page never shows more.
      const most = Math.max(...seen.map((text) => Number.parseInt(text)));
      assert(most >= 1 && most <= 28, `held at 20 %, shown as ${seen.join(", ")}`);
      await server.end();
      await page.getByText("cannot be reached, trying again…").waitFor();
      await cpu.getByText("-", { exact: true }).waitFor();
      await page.getByText(/connection lost at byte/).waitFor();
      await server.launch();
      await page.getByText(/resumed at byte/).waitFor();
      const away = page.getByText("cannot be reached, trying again…");
      await until("the trouble to be over", async () => await away.count() === 0);
      await page.emulateMedia({ colorScheme: "dark" });
      await page.setViewportSize({ width: 390, height: 900 });
      await picture("resumed");
      await host.end();
      await page.getByText('The program "worker-client ui" has ended.').first().waitFor();
    }),
});

testUnless(reason, {
  ...BROWSER_TEST,
  name: "page: keys do all of it",
  fn: () =>
    browse({}, async ({ server, page }) => {
      await page.getByText("There are no jobs yet.").waitFor();
      // Who may start jobs is known a little later.
      await page.getByRole("link", { name: "Start a job" }).waitFor();
      await page.keyboard.press("n");
      await page.getByLabel("Command", { exact: true }).waitFor();
      await until("the focus", () =>
        page.evaluate("document.activeElement.tagName === 'TEXTAREA'") as Promise<boolean>);
      await page.keyboard.type("echo by key");
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Start", exact: true }).press("Enter");
      await page.getByRole("log").getByText("by key").waitFor();
      await page.keyboard.press("?");
      await page.getByRole("dialog").waitFor();
      await page.keyboard.press("Escape");
      await page.keyboard.press("Escape");
      await page.getByRole("table").waitFor();
      await page.keyboard.press("j");
      await page.keyboard.press("Enter");
      await page.getByText("complete").waitFor();
      assert.equal((await server.client().list()).jobs.length, 1);
    }),
});

testUnless(reason, {
  ...BROWSER_TEST,
  name: "page: standard error that is kept apart is shown beside the output, or alone; and again",
  fn: () =>
    browse({}, async ({ server, page, picture }) => {
      await page.getByRole("link", { name: "Start a job" }).click();
      await page.getByLabel("Command", { exact: true }).fill("sh -c 'echo fine; echo bad >&2'");
      await page.getByLabel("Open files").fill("512");
      await page.getByLabel("File mode mask").fill("027");
      await page.getByText("Limits, end and isolation").click();
      await page.getByLabel("Standard error apart").check();
      await page.getByRole("button", { name: "Start", exact: true }).click();
      const [output, errors] = [
        page.getByRole("log", { name: "Lines of output" }),
        page.getByRole("log", { name: "Lines of standard error" }),
      ];
      await output.getByText("fine").waitFor();
      await errors.getByText("bad").waitFor();
      await until(
        "both to be complete",
        async () => await page.getByText("complete").count() === 2,
      );
      assert.deepEqual([await output.textContent(), await errors.textContent()], ["fine", "bad"]);
      await picture("both");
      await page.getByRole("link", { name: "Standard error", exact: true }).click();
      await errors.getByText("bad").waitFor();
      assert.equal(await output.count(), 0);
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("link", { name: "Download" }).click(),
      ]);
      assert.equal(await Deno.readTextFile(await download.path()), "bad\n");
      await page.getByRole("link", { name: "Start again…" }).click();
      await page.getByRole("button", { name: "Start", exact: true }).click();
      const list = () => server.client().list();
      await until("another job", async () => (await list()).jobs.length === 2);
      const [{ openFiles, umask, separateStderr } = {}] = (await list()).jobs;
      assert.deepEqual([openFiles, umask, separateStderr], [512, 0o27, true]);
    }),
});

testUnless(reason, {
  ...BROWSER_TEST,
  name: "page: the form asks for a place on a cluster only where there is one",
  fn: () =>
    browse({}, async ({ page, picture }) => {
      await page.getByRole("link", { name: "Start a job" }).click();
      await page.getByLabel("Command", { exact: true }).fill("true");
      assert.equal(await page.getByText("on the cluster").count(), 0);
      // As a server over a cluster answers.
      await page.route("**/api/about", async (route) => {
        const response = await route.fetch();
        const json = { ...await response.json(), engine: "Slurm 22.05.8", partitions: ["main"] };
        await route.fulfill({ response, json });
      });
      const asked = Promise.withResolvers<Record<string, unknown>>();
      await page.route("**/api/start", async (route) => {
        asked.resolve(route.request().postDataJSON());
        await route.abort();
      });
      await page.reload();
      await page.getByLabel("Command", { exact: true }).fill("true");
      await page.getByText("Place on the cluster (Slurm 22.05.8)").click();
      await page.getByLabel("Partition").fill("main");
      await page.getByLabel("Cores").fill("4");
      await picture("form-of-a-cluster");
      await page.getByRole("button", { name: "Start", exact: true }).click();
      const { partition, cpus, gpus } = await asked.promise;
      assert.deepEqual([partition, cpus, gpus], ["main", "4", ""]);
    }),
});
