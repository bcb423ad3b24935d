package explain

import (
	"path"
	"slices"
	"strings"
)

// tool is what is known of a command.
type tool struct {
	name string // with its subcommand
	says string // what this call does, or ""
}

// use is what one command does. In does, {all} stands for its operands, {first}, {last}, {rest} (all but the
// first) and {init} (all but the last) for some of them, and {one|many} for a word that goes with their number;
// bare is what it does without any.
type use struct {
	does   string
	bare   string
	valued string // options whose value is a word of its own
}

// aliases are commands that are told as others.
var aliases = map[string]string{
	"apt": "apt-get", "aptitude": "apt-get", "yum": "dnf", "microdnf": "dnf", "tdnf": "dnf",
	"pip3": "pip", "python3": "python", "nodejs": "node", "mvnw": "mvn", "gradlew": "gradle",
}

// wrappers run the command that follows them.
var wrappers = []string{"sudo", "exec", "env", "time", "nohup", "command", "nice", "eatmydata"}

const aptOptions = "-t --target-release -o --option -c --config-file -a --host-architecture"

// uses are the commands that Dockerfiles run most, by name and subcommand.
var uses = map[string]use{
	"apt-get update":       {bare: "fetches the lists of the packages that there are"},
	"apt-get install":      {does: "installs the {package|packages} {all}", valued: aptOptions},
	"apt-get upgrade":      {bare: "upgrades the installed packages"},
	"apt-get dist-upgrade": {bare: "upgrades the installed packages, adding and removing others where needed"},
	"apt-get clean":        {bare: "deletes the package files that were downloaded"},
	"apt-get autoremove":   {bare: "removes packages that were installed for others and that nothing needs any more"},
	"apt-get remove":       {does: "removes the {package|packages} {all}", valued: aptOptions},
	"apt-get purge":        {does: "removes the {package|packages} {all} with their settings", valued: aptOptions},
	"dpkg -i":              {does: "installs the package {file|files} {all}"},
	"apk add":              {does: "installs the {package|packages} {all}", valued: "-t --virtual -X --repository -p --root"},
	"apk update":           {bare: "fetches the lists of the packages that there are"},
	"apk upgrade":          {bare: "upgrades the installed packages"},
	"apk del":              {does: "removes the {package|packages} {all}"},
	"dnf install":          {does: "installs the {package|packages} {all}"},
	"dnf update":           {does: "updates the {package|packages} {all}", bare: "updates the installed packages"},
	"dnf upgrade":          {does: "updates the {package|packages} {all}", bare: "updates the installed packages"},
	"dnf clean":            {bare: "deletes what the package manager has kept"},
	"dnf remove":           {does: "removes the {package|packages} {all}"},
	"uv sync":              {bare: "installs what uv.lock names into the project's environment", valued: "--group --extra --python -p --no-install-package"},
	"uv pip":               {bare: "installs Python packages with uv"},
	"uv venv":              {does: "makes a Python environment in {all}", bare: "makes a Python environment in .venv"},
	"poetry install":       {bare: "installs what poetry.lock names"},
	"pipenv install":       {does: "installs the Python {package|packages} {all}", bare: "installs what the Pipfile names"},
	"python -m venv":       {does: "makes a Python environment in {all}"},
	"python -c":            {bare: "runs the Python text that follows"},
	"python -m":            {does: "runs the Python module {first}"},
	"python":               {does: "runs {first} with Python"},
	"npm ci":               {bare: "installs exactly what package-lock.json names"},
	"npm install":          {does: "installs the Node.js {package|packages} {all}", bare: "installs what package.json names"},
	"npm i":                {does: "installs the Node.js {package|packages} {all}", bare: "installs what package.json names"},
	"npm run":              {does: "runs the script {first} of package.json"},
	"npm test":             {bare: "runs the tests that package.json names"},
	"npm prune":            {bare: "removes packages that package.json does not name"},
	"npm cache":            {bare: "empties npm's cache"},
	"npx":                  {does: "runs the Node.js program {first}"},
	"yarn install":         {bare: "installs what package.json and yarn.lock name"},
	"yarn":                 {does: "runs the script {first} of package.json", bare: "installs what package.json and yarn.lock name"},
	"pnpm install":         {bare: "installs what package.json and pnpm-lock.yaml name"},
	"pnpm i":               {bare: "installs what package.json and pnpm-lock.yaml name"},
	"corepack enable":      {bare: "switches on the package manager that package.json asks for"},
	"node":                 {does: "runs {first} with Node.js"},
	"go mod download":      {bare: "downloads the modules that go.mod names"},
	"go mod tidy":          {bare: "brings go.mod in line with the source"},
	"go build":             {does: "compiles the Go program {all}", bare: "compiles the Go program of this directory", valued: "-o -ldflags -tags -gcflags -asmflags -mod -p"},
	"go install":           {does: "compiles and installs the Go program {all}", valued: "-ldflags -tags -gcflags -mod -p"},
	"go test":              {does: "runs the Go tests of {all}", bare: "runs the Go tests of this directory", valued: "-run -tags -timeout -count"},
	"go vet":               {bare: "checks the Go source for mistakes"},
	"go generate":          {bare: "runs the generators that the Go source names"},
	"cargo build":          {bare: "compiles the Rust program", valued: "--bin --target --features -p -j"},
	"cargo fetch":          {bare: "downloads the crates that Cargo.lock names"},
	"cargo install":        {does: "compiles and installs the Rust program {all}", valued: "--version --root --git"},
	"cargo test":           {bare: "runs the Rust tests"},
	"mvn":                  {does: "runs Maven for {all}", valued: "-f -P -pl -s"},
	"gradle":               {does: "runs the Gradle {task|tasks} {all}"},
	"dotnet restore":       {bare: "downloads the packages that the .NET project names"},
	"dotnet build":         {bare: "compiles the .NET project"},
	"dotnet publish":       {bare: "compiles the .NET project and gathers what is needed to run it"},
	"bundle install":       {bare: "installs what the Gemfile names"},
	"gem install":          {does: "installs the Ruby {package|packages} {all}", valued: "-v --version"},
	"composer install":     {bare: "installs what composer.lock names"},
	"make":                 {does: "runs make for {all}", bare: "runs make for its first target", valued: "-C -f -j"},
	"cmake":                {bare: "prepares or runs a build with CMake"},
	"configure":            {bare: "finds out what the source needs to compile here"},
	"gcc":                  {does: "compiles {all}", valued: "-o -I -L -l"},
	"useradd":              {does: "creates the user {first}", valued: "-u --uid -g --gid -G --groups -d --home --home-dir -s --shell -c --comment -b -k"},
	"adduser":              {does: "creates the user {first}", valued: "-u --uid -g --gid -G --ingroup -h --home -s --shell --gecos"},
	"groupadd":             {does: "creates the group {first}", valued: "-g --gid"},
	"addgroup":             {does: "creates the group {first}", valued: "-g --gid"},
	"usermod":              {does: "changes the user {all}", valued: "-u -g -G -aG -d -s -c"},
	"chown":                {does: "gives {rest} to {first}"},
	"chmod":                {does: "sets the permissions of {rest} to {first}"},
	"mkdir":                {does: "makes the {directory|directories} {all}", valued: "-m --mode"},
	"rm":                   {does: "deletes {all}"},
	"rmdir":                {does: "deletes the {directory|directories} {all}"},
	"ln":                   {does: "makes {last} a link to {first}"},
	"cp":                   {does: "copies {init} to {last}"},
	"mv":                   {does: "moves {init} to {last}"},
	"touch":                {does: "creates {all}, or sets its time", valued: "-d -t -r"},
	"install":              {does: "copies {init} to {last} and sets permissions", valued: "-m -o -g"},
	"cd":                   {does: "goes to the directory {all}, for the commands after it in this RUN"},
	"ls":                   {does: "lists {all}", bare: "lists the directory"},
	"cat":                  {does: "prints {all}"},
	"find":                 {does: "looks for files in {first}"},
	"export":               {does: "sets {all}, for the commands after it in this RUN"},
	"unzip":                {does: "unpacks {first}", valued: "-d"},
	"gunzip":               {does: "unpacks {all}"},
	"git clone":            {does: "fetches the git repository {first}", valued: "-b --branch --depth -o"},
	"git checkout":         {does: "switches to {first}"},
	"curl":                 {does: "fetches {all}", valued: "-o --output -H --header -X --request -d --data -u --user --retry --retry-delay --connect-timeout -m --max-time -A -e -b -c -F --proto -w"},
	"wget":                 {does: "fetches {all}", valued: "-O --output-document -P --directory-prefix --header -t --tries -T --timeout"},
	"sed":                  {bare: "edits text by a rule"},
	"sleep":                {does: "waits"},
	"ldconfig":             {bare: "tells the dynamic linker about new libraries"},
	"sha256sum":            {bare: "computes or checks SHA-256 checksums"},
	"gpg":                  {bare: "works with OpenPGP keys and signatures"},
	"setcap":               {does: "gives {rest} the capabilities {first}"},
	"strip":                {does: "removes debugging symbols from {all}"},

	"update-ca-certificates": {bare: "rebuilds the list of trusted certificates"},
}

// tool finds what is known of a call.
func (c call) tool() (tool, bool) {
	words := c.words
	for len(words) > 1 && (slices.Contains(wrappers, words[0]) || words[0] != "" && strings.Contains(words[0], "=")) {
		words = words[1:]
		for len(words) > 1 && strings.HasPrefix(words[0], "-") {
			words = words[1:]
		}
	}
	written := clip(path.Base(words[0]), 60)
	name := written
	if as, ok := aliases[name]; ok {
		name = as
	}
	words = words[1:]
	if name == "python" && len(words) > 1 && words[0] == "-m" && words[1] == "pip" {
		name, words = "pip", words[2:]
	}
	switch name {
	case "pip":
		return pip(words)
	case "set":
		return setOptions(words)
	case "tar":
		return tar(words), true
	case "echo", "printf", "tee":
		return c.prints(name, words)
	}
	for n := 2; n >= 0; n-- { // the longest name that is known
		key, rest, ok := subcommand(name, words, n)
		if !ok {
			continue
		}
		if u, known := uses[key]; known {
			says := u.phrase(rest)
			if c.writesTo != "" && says != "" {
				says += ", into " + clip(c.writesTo, 80)
			}
			return tool{written + strings.TrimPrefix(key, name), says}, true
		}
	}
	return tool{name: written}, false
}

// subcommand takes n words that are no options (or begin the call) to the name, and gives what is left.
func subcommand(name string, words []string, n int) (key string, rest []string, ok bool) {
	rest = slices.Clone(words)
	key = name
	for range n {
		i := slices.IndexFunc(rest, func(w string) bool { return !strings.HasPrefix(w, "-") })
		if len(rest) > 0 && len(rest[0]) == 2 && uses[key+" "+rest[0]] != (use{}) || len(rest) > 0 && rest[0] == "-m" {
			i = 0 // python -m, dpkg -i
		}
		if i < 0 {
			return "", nil, false
		}
		key += " " + rest[i]
		rest = slices.Delete(rest, i, i+1)
	}
	return key, rest, true
}

func (u use) phrase(words []string) string {
	of := operands(words, u.valued)
	pair := strings.Contains(u.does, "{rest}") || strings.Contains(u.does, "{last}")
	if len(of) == 0 || u.does == "" || pair && len(of) < 2 {
		return u.bare
	}
	n := len(of) - 1
	return strings.NewReplacer("{all}", some(of, 12), "{first}", of[0], "{last}", of[n],
		"{rest}", some(of[1:], 12), "{init}", some(of[:n], 12)).Replace(number(u.does, len(of)))
}

// number chooses between the words of a {one|many}.
func number(text string, n int) string {
	before, rest, _ := strings.Cut(text, "{")
	choice, after, _ := strings.Cut(rest, "}")
	one, many, ok := strings.Cut(choice, "|")
	switch {
	case !ok:
		return text
	case n == 1:
		return before + one + after
	}
	return before + many + after
}

// operands are the words that are neither options nor values of options.
func operands(words []string, valued string) []string {
	takes := strings.Fields(valued)
	var out []string
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "--":
			for _, rest := range words[i+1:] {
				out = append(out, clip(rest, 100))
			}
			return out
		case strings.HasPrefix(w, "-") && w != "-":
			if slices.Contains(takes, w) {
				i++
			}
		default:
			out = append(out, clip(w, 100))
		}
	}
	return out
}

func tar(words []string) tool {
	t := tool{name: "tar"}
	if len(words) == 0 {
		return t
	}
	switch mode := strings.TrimLeft(words[0], "-"); {
	case strings.HasPrefix(words[0], "--extract"), !strings.HasPrefix(words[0], "--") && strings.Contains(mode, "x"):
		t.says = "unpacks an archive"
	case strings.HasPrefix(words[0], "--create"), !strings.HasPrefix(words[0], "--") && strings.Contains(mode, "c"):
		t.says = "packs an archive"
	}
	return t
}

func pip(words []string) (tool, bool) {
	if len(words) == 0 {
		return tool{name: "pip"}, false
	}
	t := tool{name: "pip " + words[0]}
	if words[0] != "install" {
		return t, false
	}
	var files []string
	var rest []string
	for i := 1; i < len(words); i++ {
		switch w := words[i]; {
		case (w == "-r" || w == "--requirement") && i+1 < len(words):
			files = append(files, words[i+1])
			i++
		case strings.HasPrefix(w, "--requirement="):
			files = append(files, strings.TrimPrefix(w, "--requirement="))
		case w == "-e" && i+1 < len(words):
			rest = append(rest, words[i+1])
			i++
		default:
			rest = append(rest, w)
		}
	}
	packages := operands(rest, "-i --index-url --extra-index-url -t --target --prefix -c --constraint -f --find-links --platform --python-version --trusted-host --root")
	var parts []string
	switch {
	case len(files) == 1:
		parts = append(parts, "the Python packages that "+files[0]+" names")
	case len(files) > 1:
		parts = append(parts, "the Python packages that "+list(files)+" name")
	}
	switch {
	case slices.Equal(packages, []string{"."}):
		parts = append(parts, "the Python project of this directory")
	case len(packages) > 0 && len(files) > 0:
		parts = append(parts, "also "+some(packages, 12))
	case len(packages) > 0:
		parts = append(parts, number("the Python {package|packages} ", len(packages))+some(packages, 12))
	}
	if len(parts) > 0 {
		t.says = "installs " + strings.Join(parts, ", ")
	}
	return t, true
}

// shellOptions are what "set" is mostly given.
var shellOptions = []struct{ letter, word, says string }{
	{"e", "errexit", "stops at the first command that fails"},
	{"u", "nounset", "fails at a variable that is not set"},
	{"x", "xtrace", "prints every command before it runs"},
	{"", "pipefail", "lets a pipeline fail with any of its commands"},
}

func setOptions(words []string) (tool, bool) {
	var says []string
	for _, o := range shellOptions {
		for _, w := range words {
			if w == o.word || o.letter != "" && strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "--") && strings.Contains(w, o.letter) {
				says = append(says, o.says)
				break
			}
		}
	}
	return tool{"set " + strings.Join(words, " "), list(says)}, true
}

// prints tells of echo and the like: what matters is where the text goes.
func (c call) prints(name string, words []string) (tool, bool) {
	switch files := operands(words, ""); {
	case c.writesTo == "/dev/null":
		return tool{name: name}, true
	case c.writesTo != "":
		return tool{name, "writes a text into " + clip(c.writesTo, 80)}, true
	case name == "tee" && len(files) > 0:
		return tool{name, "writes what it reads into " + some(files, 3)}, true
	}
	return tool{name, "prints a text"}, true
}
