/**
 * What the author of a plugin imports: describe the plugin as one object, and
 * hand it to serve. The shape of that object is in ./describe.js, what functions
 * are told in ./request.js.
 */
export { serve, onExit } from "./serve.js";
export { any, artifact, block, blocks, bool, duration, integer, list, map, number, object, string } from "./schema.js";
export { Problem } from "./problem.js";
export { exec } from "./child.js";
export { FULL, allows, approval, entered, percent, verification } from "./weights.js";
