/**
 * The command line as data, and what shells need to complete it: a script each for bash, zsh, fish.
 * Pure: commands in, text out. May import: base/.
 *
 * Flags are offered with one dash, as Litestream's users write them; with two if one begins so.
 * Nothing is asked at run time: the script knows all words, so completing starts no process.
 * @module
 */

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = typeof SHELLS[number];

/** A flag or an argument. */
export interface Word {
  /** Without dashes: "config". */
  readonly name: string;
  /** Of flags: what the value is, "file"; absent if there is none. */
  readonly value?: string;
  readonly choices: readonly string[];
  readonly help: string;
  /** Of arguments. */
  readonly required: boolean;
}

export interface CommandWords {
  readonly name: string;
  readonly help: string;
  readonly arguments: readonly Word[];
  readonly flags: readonly Word[];
}

/** What is read of a command; commander's has this shape. */
export interface CommandLike {
  name(): string;
  description(): string;
  readonly commands: readonly CommandLike[];
  readonly registeredArguments: readonly {
    name(): string;
    readonly description: string;
    readonly required: boolean;
    readonly argChoices?: string[];
  }[];
  readonly options: readonly {
    readonly flags: string;
    readonly long?: string;
    readonly description: string;
    readonly argChoices?: string[];
  }[];
}

/** In the order of the help; without -help, which all have. */
export function describeCommands(program: CommandLike): CommandWords[] {
  return program.commands.map((command) => ({
    name: command.name(),
    help: command.description(),
    arguments: command.registeredArguments.map((one) => ({
      name: one.name(),
      choices: one.argChoices ?? [],
      help: one.description,
      required: one.required,
    })),
    flags: command.options.map(({ flags, long, description, argChoices }) => {
      const value = flags.match(/<(.+)>/)?.[1];
      return {
        name: (long ?? flags).replace(/^-+/, ""),
        ...(value !== undefined && { value }),
        choices: argChoices ?? [],
        help: description,
        required: false,
      };
    }),
  }));
}

const PROGRAM = "litestream-live";
const HELP: Word = { name: "help", choices: [], help: "help of this command", required: false };

/** The script that teaches `shell` the commands; it is to be sourced. */
export function completionScript(shell: Shell, commands: readonly CommandWords[]): string {
  return { bash, zsh, fish }[shell](commands);
}

/** Of flags by what their value is called, of arguments by their name. */
function isFile(word: Word): boolean {
  return ["file", "path"].includes(word.value ?? word.name) && word.choices.length === 0;
}

function flagsOf({ flags }: CommandWords): readonly Word[] {
  return [...flags, HELP];
}

/** Within '…' of sh and zsh. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Arms of `case COMMAND:-FLAG`: what completes the value of each flag that has one. */
function bashValues(commands: readonly CommandWords[]): string {
  return commands.flatMap(({ name, flags }) =>
    flags.filter(({ value }) => value !== undefined).map((flag) => {
      const does = isFile(flag)
        ? "_litestream_live_files"
        : flag.choices.length > 0
        ? `_litestream_live_words ${quoted(flag.choices.join(" "))}`
        : ":";
      return `    ${name}:-${flag.name}) ${does}; return ;;\n`;
    })
  ).join("");
}

/** Arms of `case COMMAND`: the flags; choices and files among the arguments. */
function bashCommands(commands: readonly CommandWords[]): string {
  return commands.map((command) => {
    const choices = command.arguments.flatMap((one) => one.choices);
    const flags = flagsOf(command).map(({ name }) => `-${name}`).join(" ");
    const files = command.arguments.some(isFile) ? " files=1" : "";
    return `    ${command.name}) flags=${quoted(` ${flags}`)} words=${
      quoted(choices.join(" "))
    }${files} ;;\n`;
  }).join("");
}

function bash(commands: readonly CommandWords[]): string {
  return `# bash completion for ${PROGRAM}: source this, or put it where bash-completion looks.

_litestream_live_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_litestream_live_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_litestream_live() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" flag="\${COMP_WORDS[COMP_CWORD-1]}"
  local command="\${COMP_WORDS[1]}" flags="" words="" files=""
  COMPREPLY=()
  # -config=x is three words to bash, and -config= two.
  if [[ $cur == "=" ]]; then
    cur=""
  elif [[ $flag == "=" ]]; then
    flag="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  if ((COMP_CWORD == 1)); then
    case $cur in
      --*) _litestream_live_words --help ;;
      -*) _litestream_live_words -help ;;
      *) _litestream_live_words ${quoted(commands.map(({ name }) => name).join(" "))} ;;
    esac
    return
  fi
  case "$command:\${flag/#--/-}" in
${bashValues(commands)}  esac
  case $command in
${bashCommands(commands)}  esac
  case $cur in
    --*) _litestream_live_words "\${flags// -/ --}" ;;
    -*) _litestream_live_words "$flags" ;;
    *) if [[ -n $files ]]; then _litestream_live_files; else _litestream_live_words "$words"; fi ;;
  esac
}

complete -F _litestream_live ${PROGRAM}
`;
}

/** What completes a value, as _arguments of zsh wants it. */
function zshAction(word: Word): string {
  if (isFile(word)) return "_files";
  // Nothing to choose from is "( )": a lone space would keep flags from being completed there, too.
  return `(${word.choices.join(" ") || " "})`;
}

/** In the explanations of _arguments and _describe. */
const zshText = (text: string): string => text.replace(/[\\[\]:]/g, "\\$&");

/** Twice each: with the dashes that are shown, and with those that are understood as well. */
function zshFlags(flags: readonly Word[]): string[] {
  return ["shown", "hidden"].flatMap((dashes) =>
    flags.map((flag) => {
      const { name, value, help } = flag;
      const rest = value === undefined ? "" : `:${zshText(value)}:${zshAction(flag)}`;
      const spec = `${name}${value === undefined ? "" : "="}[${zshText(help)}]${rest}`;
      return `"$${dashes}"${quoted(spec)}`;
    })
  );
}

function zsh(commands: readonly CommandWords[]): string {
  const arms = commands.map((command) => {
    const positional = command.arguments.map((one, nth) =>
      quoted(`${nth + 1}:${one.required ? "" : ":"}${zshText(one.name)}:${zshAction(one)}`)
    );
    const specs = [...zshFlags(flagsOf(command)), ...positional];
    return `    ${command.name})\n      _arguments \\\n        ${specs.join(" \\\n        ")} ;;\n`;
  });
  const list = commands.map(({ name, help }) => `    ${quoted(`${name}:${zshText(help)}`)}\n`);
  return `#compdef ${PROGRAM}
# zsh completion for ${PROGRAM}: source this after compinit, or name it _${PROGRAM} in $fpath.

_litestream_live() {
  local -a commands
  commands=(
${list.join("")}  )
  if (( CURRENT == 2 )); then
    _describe -t commands command commands
    return
  fi
  local command=$words[2] shown=- hidden='!--'
  if [[ $words[CURRENT] == --* ]]; then
    shown=-- hidden='!-'
  fi
  shift words
  (( CURRENT-- ))
  case $command in
${arms.join("")}  esac
}

# Autoloaded, this file is the function's body; sourced, it only names it.
if [[ $funcstack[1] == _${PROGRAM} ]]; then
  _litestream_live "$@"
else
  compdef _litestream_live ${PROGRAM}
fi
`;
}

/** Within '…' of fish. */
const fishQuoted = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`;

function fishValue(word: Word): string {
  if (isFile(word)) return " -r -F";
  return word.choices.length > 0 ? ` -x -a ${fishQuoted(word.choices.join(" "))}` : " -x";
}

function fish(commands: readonly CommandWords[]): string {
  const start = `complete -c ${PROGRAM}`;
  const lines = commands.flatMap((command) => {
    const { name, help } = command;
    const within = `${start} -n ${fishQuoted(`__fish_seen_subcommand_from ${name}`)}`;
    const choices = command.arguments.flatMap((one) => one.choices);
    return [
      `${start} -n __fish_use_subcommand -a ${name} -d ${fishQuoted(help)}`,
      ...flagsOf(command).map((flag) => {
        const value = flag.value === undefined ? "" : fishValue(flag);
        return `${within} -o ${flag.name} -l ${flag.name}${value} -d ${fishQuoted(flag.help)}`;
      }),
      ...(choices.length > 0 ? [`${within} -a ${fishQuoted(choices.join(" "))}`] : []),
      ...(command.arguments.some(isFile) ? [`${within} -F`] : []),
    ];
  });
  const what =
    `# fish completion for ${PROGRAM}: source this, or put it into a completions folder.`;
  return [what, `${start} -f`, ...lines, ""].join("\n");
}
