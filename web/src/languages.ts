// Which language a file is in, and its mode, fetched when the first such file is opened.

import { StreamLanguage, type StreamParser } from "@codemirror/language";
import type { Extension } from "@codemirror/state";

type Load = () => Promise<StreamParser<unknown>>;

const sh: Load = async () => (await import("@codemirror/legacy-modes/mode/shell")).shell;
const script = async () => import("@codemirror/legacy-modes/mode/javascript");
const css = async () => import("@codemirror/legacy-modes/mode/css");
const xml = async () => import("@codemirror/legacy-modes/mode/xml");
const properties: Load = async () => (await import("@codemirror/legacy-modes/mode/properties")).properties;

const modes: [RegExp, Load][] = [
  [/(^|\/)((Docker|Container)file[^/]*|[^/]+\.(docker|container)file)$/i, async () => (await import("@codemirror/legacy-modes/mode/dockerfile")).dockerFile],
  [/\.(py|pyi)$/, async () => (await import("@codemirror/legacy-modes/mode/python")).python],
  [/\.(js|mjs|cjs|jsx)$/, async () => (await script()).javascript],
  [/\.(ts|mts|cts|tsx)$/, async () => (await script()).typescript],
  [/\.(json|jsonc)$/, async () => (await script()).json],
  [/\.go$|(^|\/)go\.(mod|work)$/, async () => (await import("@codemirror/legacy-modes/mode/go")).go],
  [/\.(sh|bash|zsh)$/, sh],
  [/\.(ya?ml)$/, async () => (await import("@codemirror/legacy-modes/mode/yaml")).yaml],
  [/\.toml$|(^|\/)(uv|poetry|Cargo)\.lock$/, async () => (await import("@codemirror/legacy-modes/mode/toml")).toml],
  [/\.conf$/, async () => (await import("@codemirror/legacy-modes/mode/nginx")).nginx],
  [/\.css$/, async () => (await css()).css],
  [/\.(html?|htm)$/, async () => (await xml()).html],
  [/\.(xml|svg)$/, async () => (await xml()).xml],
  [/\.rb$|(^|\/)(Gemfile|Rakefile)$/, async () => (await import("@codemirror/legacy-modes/mode/ruby")).ruby],
  [/\.rs$/, async () => (await import("@codemirror/legacy-modes/mode/rust")).rust],
  [/\.(c|h|cc|cpp|hpp|java|kt)$/, async () => (await import("@codemirror/legacy-modes/mode/clike")).java],
  [/\.(ini|cfg|properties|env)$|(^|\/)\.env[^/]*$/, properties],
];

// language gives the mode of a file, or nothing for plain text.
export async function language(path: string): Promise<Extension> {
  const load = modes.find(([name]) => name.test(path))?.[1];
  return load ? StreamLanguage.define(await load()) : [];
}
