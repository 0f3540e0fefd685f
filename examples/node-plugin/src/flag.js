import { readFile, rename, writeFile } from "node:fs/promises";

import { FULL, Problem, string } from "@runner-pipelines/sdk";

/** The file: { stable, releases: [{ id, version, … }], weights: { id: share }, world }. */
async function load({ file }) {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (err) {
    if (err.code !== "ENOENT") throw new Problem("Flag not readable", `${file}: ${err.message}`, { at: "file", effect: "none" });
    return { stable: "", releases: [], weights: {}, world: 0 };
  }
}

async function save({ file }, state) {
  state.world += 1;
  await writeFile(`${file}.new`, JSON.stringify(state, null, 2));
  await rename(`${file}.new`, file); // whoever reads meanwhile sees one or the other
}

const refuse = (summary, detail) => {
  throw new Problem(summary, detail, { effect: "none" });
};

/**
 * The target "flag": a file from which a program reads which share of its users
 * sees which release.
 */
export const flag = {
  doc: "A file that says which share of the users sees which release.",
  config: {
    file: string({ doc: "The file, as JSON." }),
    text: string({ doc: "What the users of this release are shown." }),
  },

  capabilities: () => ({ sideBySide: true, weights: "percent", step: 1 }),

  async observe(config) {
    const { stable, releases, weights, world } = await load(config);
    return { stable, releases: releases.map((r) => ({ ...r, created: new Date(r.created) })), weights, world: String(world) };
  },

  async install(config, { release }) {
    const state = await load(config);
    const there = state.releases.find((r) => r.id === release.id);
    if (there) return { ...there, created: new Date(there.created) };
    const fresh = { id: release.id, version: release.version, labels: { ...release.labels, text: config.text }, created: new Date() };
    state.releases.push(fresh);
    await save(config, state);
    return fresh;
  },

  async setWeight(config, { release, weight, expect }) {
    const state = await load(config);
    if (expect && expect !== String(state.world)) refuse("Flag changed by somebody else", `It was expected at version ${expect}, and it is at ${state.world}.`);
    if (!state.releases.some((r) => r.id === release)) refuse("No such release", `The release ${release} is not installed.`);
    const other = release === state.stable ? state.releases.find((r) => r.id !== release)?.id : state.stable;
    const weights = Object.fromEntries([[release, weight], [other, FULL - weight]].filter(([id, w]) => id && w > 0));
    if (JSON.stringify(weights) === JSON.stringify(state.weights)) return;
    state.weights = weights;
    await save(config, state);
  },

  async settle(config, { release }) {
    const state = await load(config);
    if (state.weights[release] !== FULL) refuse("Release without all traffic", `Only a release with all the traffic becomes the stable one, and ${release} has not.`);
    if (state.stable === release) return;
    state.stable = release;
    await save(config, state);
  },

  async retire(config, { release }) {
    const state = await load(config);
    if (!state.releases.some((r) => r.id === release)) return;
    if (state.weights[release] > 0) refuse("Release with traffic", `The release ${release} still has traffic, so it stays.`);
    state.releases = state.releases.filter((r) => r.id !== release);
    await save(config, state);
  },
};
