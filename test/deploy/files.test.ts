/** What the files of deploy/ call must exist in the program. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import packageJson from "../../package.json" with { type: "json" };
import { COMMANDS } from "../../src/commands/index.ts";
import { describeSettings } from "../../src/config/describe.ts";
import { loadSettings } from "../../src/config/load.ts";
import { documents, has, ROOT, read, unknownNames, yaml } from "./repository.ts";

const hadolint = Bun.which("hadolint");
const systemdAnalyze = Bun.which("systemd-analyze");
const hasHealthcheck = Object.hasOwn(COMMANDS, "healthcheck");
const port = String(loadSettingsDefaults().status.port);

function loadSettingsDefaults() {
  const loaded = loadSettings({ flags: [], env: {}, cwd: "/nowhere" });
  if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
  return loaded.settings;
}

describe("Dockerfile", () => {
  test("names settings, files, a command and the Bun that exist", async () => {
    const dockerfile = await read("Dockerfile");
    expect(unknownNames(dockerfile.match(/\bTAPEDECK_\w+/g) ?? [])).toEqual([]);
    const images = [...dockerfile.matchAll(/^FROM oven\/bun:([\d.]+)-slim/gm)].map(([, version]) => version);
    expect(images).toEqual([packageJson.engines.bun, packageJson.engines.bun]);
    const kept = (await read(".dockerignore")).match(/^!(.+)$/gm)?.map((line) => line.slice(1)) ?? [];
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = ""]) =>
      paths.split(" "),
    );
    expect([...new Set(copied)].sort()).toEqual(kept.sort());
    expect(copied.filter((path) => !has(path))).toEqual([]);
    const command = /^CMD \["(\w+)"\]$/m.exec(dockerfile)?.[1] ?? "";
    expect(Object.hasOwn(COMMANDS, command)).toBe(true);
    expect(dockerfile).toContain(`EXPOSE ${port}`);
  });

  test("is of no root, stops by SIGTERM, says whether it is well", async () => {
    const dockerfile = await read("Dockerfile");
    const user = /^USER (\d+):(\d+)$/m.exec(dockerfile);
    expect(Number(user?.[1])).toBeGreaterThan(0);
    expect(dockerfile).toContain("STOPSIGNAL SIGTERM");
    expect(dockerfile).toMatch(/^HEALTHCHECK [\s\S]*CMD \["bun", "\/app\/src\/main.ts", "healthcheck"\]$/m);
    expect(dockerfile).toContain("TAPEDECK_STATUS_HOST=0.0.0.0");
  });

  test.skipIf(!hasHealthcheck)("its health check is a command (needs `tapedeck healthcheck`)", () => {
    expect(Object.hasOwn(COMMANDS, "healthcheck")).toBe(true);
  });

  test.skipIf(hadolint === null)("hadolint has nothing to say (needs hadolint)", () => {
    const { exitCode, stdout } = Bun.spawnSync([hadolint ?? "", "Dockerfile"], { cwd: ROOT });
    expect({ exitCode, said: stdout.toString() }).toEqual({ exitCode: 0, said: "" });
  });
});

const serviceSchema = z.looseObject({
  image: z.string(),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
});

describe("compose", () => {
  const compose = () =>
    yaml(
      "deploy/compose.yaml",
      z.looseObject({ services: z.record(z.string(), serviceSchema), volumes: z.object({}).loose() }),
    );

  test("names settings and files that exist", async () => {
    const { services, volumes } = await compose();
    const { recorder } = services;
    expect(unknownNames(Object.keys(recorder?.environment ?? {}))).toEqual([]);
    expect(Object.keys(recorder?.environment ?? {}).length).toBeGreaterThan(6);
    for (const { volumes: mounts } of Object.values(services)) {
      for (const mount of mounts) {
        const [from = ""] = mount.split(":");
        if (from.startsWith("./")) expect(`${from} ${has(join("deploy", from))}`).toBe(`${from} true`);
        else expect(Object.keys(volumes)).toContain(from);
      }
    }
  });

  test("its settings are valid, and point at its own store", async () => {
    const { services } = await compose();
    const given = { S3_ACCESS_KEY: "key-of-a-test", S3_SECRET_KEY: "secret-of-a-test" };
    const env = Object.entries(services.recorder?.environment ?? {}).map(([name, value]) => {
      const filled = value.replace(/\$\{(\w+)(?::[-?]([^}]*))?\}/g, (_, variable: string, otherwise = "") =>
        Object.hasOwn(given, variable) ? given[variable as keyof typeof given] : otherwise,
      );
      return [name, filled] as const;
    });
    const loaded = loadSettings({ flags: [], env: Object.fromEntries(env), cwd: "/nowhere" });
    if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
    expect(loaded.warnings).toEqual([]);
    expect(loaded.settings.s3.endpoint).toBe(`http://s3${services.s3?.environment.VGW_PORT}`);
    expect(loaded.settings.storage.backend).toBe("s3");
    expect(loaded.settings.instance).toBe("compose");
  });

  test("nothing is open to the world, nothing is `latest`, every secret has to be set", async () => {
    const { services } = await compose();
    for (const { ports, image, environment } of Object.values(services)) {
      for (const one of ports) expect(one).toStartWith("127.0.0.1:");
      expect(image).toMatch(/:v?\d+\.\d+\.\d+$/);
      for (const [name, value] of Object.entries(environment)) {
        if (/SECRET|ACCESS_KEY|PASSWORD/.test(name)) expect(value).toMatch(/^\$\{\w+:\?/);
      }
    }
    expect(services.recorder?.ports).toEqual([`127.0.0.1:${port}:${port}`]);
    expect(services.recorder).toMatchObject({ read_only: true, cap_drop: ["ALL"], stop_grace_period: "30s" });
    const example = (await read("deploy/example.env")).match(/^\w+(?==)/gm) ?? [];
    const used = [...(await read("deploy/compose.yaml")).matchAll(/(?<!\$)\$\{(\w+)/g)].map(
      ([, name = ""]) => name,
    );
    expect([...new Set(used)].sort()).toEqual(example.toSorted());
  });

  test("Prometheus scrapes the recorder with our rules", async () => {
    const { services } = await compose();
    const config = await yaml(
      "deploy/prometheus/prometheus.yaml",
      z.looseObject({
        rule_files: z.array(z.string()),
        scrape_configs: z.array(
          z.looseObject({
            job_name: z.string(),
            static_configs: z.array(z.strictObject({ targets: z.array(z.string()) })),
          }),
        ),
      }),
    );
    expect(config.scrape_configs[0]?.static_configs[0]?.targets).toEqual([`recorder:${port}`]);
    expect(config.scrape_configs[0]?.job_name).toBe("tapedeck");
    expect(services.prometheus?.volumes).toContain("./prometheus:/etc/prometheus:ro");
    for (const path of config.rule_files)
      expect(has(path.replace("/etc/prometheus/", "deploy/prometheus/"))).toBe(true);
  });
});

describe("systemd", () => {
  test("starts a command with settings that exist; is started again, but not when the use is wrong", async () => {
    const unit = await read("deploy/tapedeck.service");
    const command = /^ExecStart=\/usr\/local\/bin\/tapedeck (\w+)$/m.exec(unit)?.[1] ?? "";
    expect(Object.hasOwn(COMMANDS, command)).toBe(true);
    expect(unknownNames(unit.match(/\b(?:TAPEDECK|S3)_\w+/g) ?? [])).toEqual([]);
    for (const line of [
      "Restart=on-failure",
      "RestartPreventExitStatus=2",
      "KillSignal=SIGTERM",
      "TimeoutStopSec=30s",
    ])
      expect(unit).toContain(`\n${line}\n`);
    expect(loadSettingsDefaults().stop.timeout).toBeLessThan(30_000);
  });

  test.skipIf(systemdAnalyze === null)("systemd-analyze security says OK (needs systemd)", () => {
    const args = ["security", "--offline=true", "--threshold=20", "--no-pager", "deploy/tapedeck.service"];
    const { exitCode, stdout, stderr } = Bun.spawnSync([systemdAnalyze ?? "", ...args], { cwd: ROOT });
    expect({ exitCode, said: `${stdout}${stderr}` }).toMatchObject({ exitCode: 0 });
    expect(stdout.toString()).toMatch(/Overall exposure level for tapedeck.service: [\d.]+ OK/);
  });
});

describe("Kubernetes", () => {
  const probe = z.looseObject({ httpGet: z.strictObject({ path: z.string(), port: z.string() }) });
  const containerSchema = z.looseObject({
    args: z.array(z.string()),
    env: z.array(z.looseObject({ name: z.string() })),
    ports: z.array(z.strictObject({ name: z.string(), containerPort: z.int() })),
    startupProbe: probe,
    livenessProbe: probe,
    readinessProbe: probe,
    securityContext: z.unknown(),
    volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
  });
  const setSchema = z.looseObject({
    spec: z.looseObject({
      replicas: z.literal(1),
      template: z.looseObject({
        spec: z.looseObject({
          enableServiceLinks: z.literal(false),
          automountServiceAccountToken: z.literal(false),
          terminationGracePeriodSeconds: z.literal(30),
          securityContext: z.looseObject({ runAsNonRoot: z.literal(true) }),
          containers: z.tuple([containerSchema]),
          volumes: z.array(z.looseObject({ name: z.string() })),
        }),
      }),
      volumeClaimTemplates: z.array(z.looseObject({ metadata: z.strictObject({ name: z.string() }) })),
    }),
  });
  const kind = z.looseObject({ apiVersion: z.string(), kind: z.string() });

  async function byKind(name: string): Promise<unknown> {
    const all = await documents("deploy/kubernetes/tapedeck.yaml");
    return all.find((one) => kind.parse(one).kind === name);
  }

  test("has what it needs", async () => {
    const all = await documents("deploy/kubernetes/tapedeck.yaml");
    expect(all.map((one) => kind.parse(one).kind)).toEqual([
      "ConfigMap",
      "Secret",
      "Service",
      "PodDisruptionBudget",
      "StatefulSet",
    ]);
  });

  test("the pod runs a command, with probes that the program answers, without rights", async () => {
    const { spec } = setSchema.parse(await byKind("StatefulSet"));
    const pod = spec.template.spec;
    const [container] = pod.containers;
    expect(container.args.filter((name) => !Object.hasOwn(COMMANDS, name))).toEqual([]);
    expect(unknownNames(container.env.map(({ name }) => name))).toEqual([]);
    expect(container.ports).toEqual([{ name: "http", containerPort: Number(port) }]);
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    const api = await read("src/status/api.ts");
    for (const { httpGet } of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
      expect(httpGet.port).toBe("http");
      expect(api).toContain(`"${httpGet.path}"`);
    }
    const volumes = [
      ...pod.volumes.map(({ name }) => name),
      ...spec.volumeClaimTemplates.map(({ metadata }) => metadata.name),
    ];
    expect(container.volumeMounts.map(({ name }) => name).sort()).toEqual(volumes.sort());
  });

  test("its tapedeck.toml and its secrets are settings", async () => {
    const { data } = z
      .looseObject({ data: z.record(z.string(), z.string()) })
      .parse(await byKind("ConfigMap"));
    const { stringData } = z
      .looseObject({ stringData: z.record(z.string(), z.string()) })
      .parse(await byKind("Secret"));
    const folder = mkdtempSync(join(tmpdir(), "tapedeck-kubernetes-"));
    writeFileSync(join(folder, "tapedeck.toml"), data["tapedeck.toml"] ?? "");
    const loaded = loadSettings({ flags: [], env: stringData, cwd: folder });
    rmSync(folder, { recursive: true });
    if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
    expect(loaded.settings.s3.bucket).toBe("my-lake");
    expect(loaded.settings.s3.secret_key).toBe(stringData.S3_SECRET_KEY);
    expect(unknownNames(Object.keys(stringData))).toEqual([]);
  });
});

const stepSchema = z.looseObject({ uses: z.string().optional(), run: z.string().optional() });
const workflowSchema = z.looseObject({
  permissions: z.strictObject({ contents: z.literal("read") }),
  jobs: z.record(z.string(), z.looseObject({ "timeout-minutes": z.int(), steps: z.array(stepSchema) })),
});

describe("workflows", () => {
  for (const name of ["ci", "release"]) {
    const path = `.github/workflows/${name}.yml`;

    test(`${name}: actions are pinned by commit, Bun as in package.json, jobs bounded in time`, async () => {
      const { jobs } = await yaml(path, workflowSchema);
      const uses = Object.values(jobs).flatMap(({ steps }) => steps.flatMap((step) => step.uses ?? []));
      expect(uses.length).toBeGreaterThan(1);
      for (const one of uses) expect(one).toMatch(/@[0-9a-f]{40}$/);
      const text = await read(path);
      // Each with the version it is, for whoever raises it.
      expect(text.match(/uses: .+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/gm)?.length).toBe(uses.length);
      for (const [, version] of text.matchAll(/bun-version: (\S+)/g))
        expect(version).toBe(packageJson.engines.bun);
    });

    test(`${name}: what is run exists`, async () => {
      const { jobs } = await yaml(path, workflowSchema);
      const text = Object.values(jobs)
        .flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []))
        .join("\n");
      for (const [, script = ""] of text.matchAll(/\bbun (scripts\/\S+)/g))
        expect(`${script} ${has(script)}`).toBe(`${script} true`);
      const scripts = [...text.matchAll(/\bbun run ([\w:]+)/g)].map(([, script = ""]) => script);
      expect(scripts.length).toBeGreaterThan(0);
      // `build` comes with the single binary (docs/deployment.md, issue 8).
      const later = Object.hasOwn(packageJson.scripts, "build") ? [] : ["build"];
      expect(scripts.filter((script) => !Object.hasOwn(packageJson.scripts, script))).toEqual(
        scripts.filter((script) => later.includes(script)),
      );
    });
  }

  test("a release waits for no platform whose packages bun.lock has not", async () => {
    const entry = z.strictObject({ runner: z.string(), name: z.string(), optional: z.boolean() });
    const job = z.looseObject({
      strategy: z.strictObject({
        "fail-fast": z.literal(false),
        matrix: z.strictObject({ include: z.array(entry) }),
      }),
      "continue-on-error": z.string().regex(/^\$\{\{ matrix\.optional \}\}$/),
    });
    const workflow = z.looseObject({ jobs: z.looseObject({ binaries: job }) });
    const { jobs } = await yaml(".github/workflows/release.yml", workflow);
    const lock = await read("bun.lock");
    for (const { name, optional } of jobs.binaries.strategy.matrix.include) {
      const needed = name.replace("tapedeck-", "@duckdb/node-bindings-");
      expect([name, optional]).toEqual([name, !lock.includes(`"${needed}": ["`)]);
    }
  });

  test("CI runs the README's test command", async () => {
    const command = `npx --yes bun@${packageJson.engines.bun} run test`;
    expect(await read("README.md")).toContain(`\n${command}\n`);
    expect(await read(".github/workflows/ci.yml")).toContain(`run: ${command}\n`);
  });
});

describe("pages", () => {
  test("name settings that exist", async () => {
    const paths = new Set(describeSettings().map(({ path }) => path));
    for (const page of ["docs/notifications.md", "docs/deployment.md"]) {
      const text = await read(page);
      const named = [
        ...text.matchAll(/`((?:notify|log|outbox|journal|ring|ingest|stop|status)\.[a-z_.]+)`/g),
      ].map(([, path = ""]) => path);
      expect(named.length).toBeGreaterThan(2);
      const isKnown = (name: string) =>
        paths.has(name) || [...paths].some((path) => path.startsWith(`${name}.`));
      expect(named.filter((name) => !isKnown(name))).toEqual([]);
      expect(unknownNames(text.match(/\b(?:TAPEDECK|S3)_[A-Z]\w+/g) ?? [])).toEqual([]);
    }
  });

  test("name files that exist", async () => {
    const text = await read("docs/deployment.md");
    const paths = text.match(/\bdeploy\/[\w./-]+\w\/?/g) ?? [];
    expect(paths.length).toBeGreaterThan(8);
    expect(paths.filter((path) => path !== "deploy/.env" && !has(path))).toEqual([]);
  });
});
