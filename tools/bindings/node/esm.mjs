// SPDX-License-Identifier: Apache-2.0
// Makes ES modules for browsers of what http.js needs, which is CommonJS for all releases of Node.
//
//     node esm.mjs DIR      DIR gets http.mjs and its parts
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const todo = ["http"];
for (const name of todo) {
  const text = await readFile(new URL(`lib/${name}.js`, import.meta.url), "utf8");
  const module = text
    .replace(/^"use strict";\n\n/m, "")
    .replace(' ?? require("node:crypto").webcrypto', "") // browsers have it
    .replace(/^const (\{[^}]*\}) = require\("\.\/(\w+)\.js"\);$/gm, (_, names, part) => {
      if (!todo.includes(part)) todo.push(part);
      return `import ${names} from "./${part}.mjs";`;
    })
    .replace(/^module\.exports = /m, "export ");
  if (/\brequire\(|module\.exports/.test(module)) throw new Error(`${name}.js has another form`);
  await writeFile(join(process.argv[2], `${name}.mjs`), module);
}
