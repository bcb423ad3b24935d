package explain

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// hint is a likely next move, from what the step printed and what is known of it; "" if nothing is. The first
// that knows something speaks.
func (c clues) hint() string {
	for _, h := range hints {
		if text := h(c); text != "" {
			return text
		}
	}
	return ""
}

var hints = []func(clues) string{
	refusedHost, offline, noSpace, outOfMemory,
	aptPackage, aptLock, apkPackage, debconf,
	pipPackage, pipManaged, pipCompile, npmManifest, npmLock, goModule, goVersion,
	copyMissing, stageMissing, imageMissing, checksum,
	carriageReturn, commandMissing, permission, noSuchUser, scriptMissing, fileMissing,
}

func (c clues) find(pattern string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(c.tail + "\n" + c.message)
	if m == nil {
		return ""
	}
	return m[len(m)-1]
}

func refusedHost(c clues) string {
	for _, q := range c.requests {
		if !q.Allowed {
			return fmt.Sprintf("The request to %s was refused by the rule %s. Take the files from a host that is allowed, or put them into the build context.", q.URL, rule(q.Rule))
		}
	}
	return ""
}

func rule(name string) string {
	if name == "" {
		return "of this server"
	}
	return name
}

func offline(c clues) string {
	if f := c.step.Text; strings.Contains(f, "--network=none") && c.find(`(?i)(could not resolve|temporary failure resolving|network is unreachable|name or service not known|bad address)`) != "" {
		return "This step runs with --network=none, and it asks for the network: take the flag away, or fetch the files in an earlier step."
	}
	return ""
}

func noSpace(c clues) string {
	if c.find(`(?i)(no space left on device|disk quota exceeded)`) != "" {
		return "Write less, delete in the same RUN what it has downloaded, or take a smaller base image: the builder's disk has a limit."
	}
	return ""
}

func outOfMemory(c clues) string {
	const less = "do less at once, e.g. with fewer parallel jobs (make -j1, go build -p 1)."
	if c.find(`(?i)(out of memory|MemoryError|std::bad_alloc|Cannot allocate memory)`) != "" {
		return "It needed more memory than a step may use here: " + less
	}
	if c.code != nil && *c.code == 137 {
		return "If it was the memory that ran out: " + less
	}
	return ""
}

func aptPackage(c clues) string {
	name := c.find(`E: (?:Unable to locate package|Package '?)\s*([^\s']+)`)
	if name == "" {
		return ""
	}
	if !strings.Contains(c.command(), "apt-get update") && !strings.Contains(c.command(), "apt update") {
		return fmt.Sprintf("The image holds no lists of packages: put apt-get update && before the install, in the same RUN, so that %s can be found.", name)
	}
	return fmt.Sprintf("This release of the distribution has no package %s: look for its name there, or take another base image.", name)
}

func aptLock(c clues) string {
	if c.find(`(Could not open lock file|are you root\?|Unable to lock directory)`) == "" {
		return ""
	}
	return c.asRoot("Packages can only be installed by root")
}

// asRoot tells to do it before the USER, if one is known.
func (c clues) asRoot(what string) string {
	if u := c.step.Before.User; u != "" && !root(u) {
		return fmt.Sprintf("%s, and this step runs as %s: move it above the USER instruction, or put USER root before it.", what, u)
	}
	return what + ": put USER root before this step, and the image's own user after it."
}

func apkPackage(c clues) string {
	if name := c.find(`(?m)^\s*(\S+) \(no such package\)`); name != "" {
		return fmt.Sprintf("This release of Alpine has no package %s: packages are often named otherwise there than in Debian.", name)
	}
	return ""
}

func debconf(c clues) string {
	if c.find(`(Do you want to continue\? \[Y/n\] Abort)`) != "" {
		return "apt-get waits for an answer that nobody gives: add -y to install."
	}
	return ""
}

func pipPackage(c clues) string {
	if name := c.find(`No matching distribution found for (\S+)`); name != "" {
		return fmt.Sprintf("The index that pip asked has no %s for this Python and platform: check the name and the version, or ask for another version.", strings.TrimRight(name, "."))
	}
	return ""
}

func pipManaged(c clues) string {
	if c.find(`(externally-managed-environment)`) != "" {
		return "This Python belongs to the distribution: make an environment first (python3 -m venv /venv), and use its pip (/venv/bin/pip install …)."
	}
	return ""
}

func pipCompile(c clues) string {
	if tool := c.find(`(?:command|program) '(gcc|g\+\+|cc|x86_64-linux-gnu-gcc)' failed: No such file|error: command '(gcc|cc)' failed`); tool != "" {
		return "A package has to be compiled and the image has no compiler: install gcc before, in a stage of its own, or take a base image that has one (without -slim)."
	}
	return ""
}

func npmManifest(c clues) string {
	if c.find(`(?s)(npm (?:ERR!|error) (?:code )?ENOENT.*package\.json|Could not read package\.json)`) == "" {
		return ""
	}
	dir := c.step.Before.WorkingDir
	if dir == "" {
		dir = "the working directory"
	}
	return fmt.Sprintf("There is no package.json in %s: copy it there before this step (COPY package.json package-lock.json ./).", dir)
}

func npmLock(c clues) string {
	if c.find("(npm ci` command can only install with an existing package-lock|`npm ci` can only install packages when)") != "" {
		return "npm ci needs a package-lock.json that agrees with package.json: make one with npm install and copy it too, or use npm install here."
	}
	return ""
}

func goModule(c clues) string {
	if c.find(`(go\.mod file not found|no go\.mod|cannot find main module)`) != "" {
		return "There is no go.mod in the working directory: copy it before this step (COPY go.mod go.sum ./), and set WORKDIR to where it is."
	}
	return ""
}

func goVersion(c clues) string {
	if v := c.find(`go\.mod requires go >= (\S+)`); v != "" {
		return fmt.Sprintf("The source asks for Go %s and the image has an older one: take a newer Go image, or lower the go line of go.mod.", v)
	}
	return ""
}

func copyMissing(c clues) string {
	if c.step.Instruction != "COPY" && c.step.Instruction != "ADD" {
		return ""
	}
	p := c.find(`"?/?([^\s":]+)"?: not found`)
	if p == "" {
		return ""
	}
	p = strings.TrimPrefix(p, "/")
	if strings.Contains(c.step.Text, "--from=") {
		return fmt.Sprintf("The stage or image that --from names has no %s: paths there begin at its root.", p)
	}
	if slices.Contains(c.files, p) {
		return fmt.Sprintf("%s is there, but .dockerignore leaves it out: take the line away that matches it, or add a last line !%s.", p, p)
	}
	if near := nearest(p, c.files); near != "" {
		return fmt.Sprintf("%s is there: perhaps that was meant. Paths are relative to the build context.", near)
	}
	if c.files == nil {
		return ""
	}
	return fmt.Sprintf("The build context has no %s: add the file, or correct the path. Paths are relative to the build context.", p)
}

// nearest is the path that was probably meant: the same name elsewhere or in another case, or a few letters off.
func nearest(p string, files []string) string {
	best, least := "", max(2, len(p)/4)+1
	seen := make(map[string]bool)
	for _, f := range files {
		for ; f != "." && !seen[f]; f = path.Dir(f) {
			seen[f] = true
			if strings.EqualFold(path.Base(f), path.Base(p)) {
				return f
			}
			if far := len(f) - len(p); far >= least || -far >= least {
				continue
			}
			if d := levenshtein.Distance(f, p, nil); d < least {
				best, least = f, d
			}
		}
	}
	return best
}

func stageMissing(c clues) string {
	if name := c.find(`invalid from flag value (\S+?):`); name != "" {
		return fmt.Sprintf("%s is neither a stage above this line nor an image that can be fetched.", name)
	}
	return ""
}

func imageMissing(c clues) string {
	if c.step.Instruction != "FROM" || c.find(`(?i)(not found|pull access denied|manifest unknown)`) == "" {
		return ""
	}
	return "Check the image's name and tag; an image of one's own needs its registry's name in front."
}

func checksum(c clues) string {
	if c.find(`(digest mismatch|checksum did not match|invalid checksum)`) != "" {
		return "The file there is not the one that --checksum expects: it has changed, or the checksum is of another version."
	}
	return ""
}

// A distribution is how an image's Linux installs packages.
type distribution struct {
	kind    string
	install string // with %s for the packages; "" if it can't
	bash    bool
}

// debians are official images that are made on Debian or Ubuntu, but for their tags with "alpine".
var debians = []string{
	"debian", "ubuntu", "python", "node", "golang", "nginx", "ruby", "rust", "php", "httpd", "redis", "postgres", "mysql",
	"mariadb", "buildpack-deps", "gcc", "perl", "openjdk", "eclipse-temurin", "maven", "gradle", "tomcat",
}

// distributionOf is what an image's name says of its Linux.
func distributionOf(ref string) (distribution, bool) {
	ref = strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")
	name, tag, _ := strings.Cut(ref, ":")
	switch {
	case name == "busybox":
		return distribution{"busybox", "", false}, true
	case name == "alpine" || slices.Contains(debians, name) && strings.Contains(tag, "alpine"):
		return distribution{"Alpine Linux", "apk add --no-cache %s", false}, true
	case slices.Contains(debians, name):
		return distribution{"Debian's kind of Linux", "apt-get update && apt-get install -y %s", true}, true
	case name == "fedora":
		return distribution{"Fedora", "dnf install -y %s", true}, true
	}
	return distribution{}, false
}

// packages are Debian's whose name is not that of the command.
var packages = map[string]string{
	"gcc": "build-essential", "pg_config": "libpq-dev", "add-apt-repository": "software-properties-common",
	"ps": "procps", "ping": "iputils-ping", "ifconfig": "net-tools", "ip": "iproute2", "nslookup": "dnsutils", "dig": "dnsutils",
	"python": "python3", "pip": "python3-pip", "node": "nodejs", "vi": "vim", "nc": "netcat-openbsd", "xz": "xz-utils", "gpg": "gnupg",
}

func commandMissing(c clues) string {
	name := c.missing()
	if name == "" || c.code == nil || *c.code != 127 && !strings.Contains(c.message, "executable file not found") {
		return ""
	}
	if strings.Contains(name, "/") {
		return fmt.Sprintf("There is no program %s in the image at this step: check the path, or copy it before. A script whose first line names a missing interpreter gives the same message.", name)
	}
	if name == "sudo" {
		return "The image has no sudo, and steps run as root unless USER says otherwise: leave it out."
	}
	base := c.step.Before.Base
	if d, ok := distributionOf(base); ok {
		switch debian := strings.HasPrefix(d.install, "apt-get"); {
		case name == "bash" && d.install == "":
			return fmt.Sprintf("%s has no bash: use sh.", base)
		case name == "bash" && !d.bash:
			return fmt.Sprintf("%s has no bash: use sh, or install it before (RUN %s).", base, fmt.Sprintf(d.install, "bash"))
		case d.install == "":
			return fmt.Sprintf("%s has no %s, and no package manager: copy the program in, or take a larger base image.", base, name)
		case (name == "apt-get" || name == "apt" || name == "apk" || name == "dnf" || name == "yum"):
			return fmt.Sprintf("%s is %s, where packages are installed otherwise: RUN %s.", base, d.kind, fmt.Sprintf(d.install, "…"))
		default:
			pkg := name
			if p, ok := packages[name]; ok && debian {
				pkg = p
			}
			return fmt.Sprintf("%s has no %s. If the package %s holds it, install that before: RUN %s.", base, name, pkg, fmt.Sprintf(d.install, pkg))
		}
	}
	if base == "scratch" {
		return "An image from scratch has no shell and no programs but those that you copy in."
	}
	return fmt.Sprintf("The image has no %s at this step: install it before, or check the spelling.", name)
}

func permission(c clues) string {
	if c.find(`(?i)(permission denied|operation not permitted|EACCES)`) == "" {
		return ""
	}
	if c.code != nil && *c.code == 126 {
		return "The file is not executable: give it the permission (COPY --chmod=755 …, or RUN chmod +x …)."
	}
	if u := c.step.Before.User; u != "" && !root(u) {
		return fmt.Sprintf("This step runs as %s, who may not do that: do it before the USER instruction, or give the files to %s (COPY --chown=%s …, RUN chown …).", u, u, u)
	}
	return ""
}

func noSuchUser(c clues) string {
	if name := c.find(`unable to find user (\S+?):`); name != "" {
		return fmt.Sprintf("The image has no user %s at this step: create it before (RUN useradd --create-home %s), or use a number.", name, name)
	}
	return ""
}

func scriptMissing(c clues) string {
	if name := c.find(`(?:can't open file|Cannot find module|can't open) '?([^'\s:]+)'?`); name != "" {
		return fmt.Sprintf("%s is not in the image at this step: copy it before, and check the working directory.", name)
	}
	return ""
}

func fileMissing(c clues) string {
	name := c.find(`(?m): (?:cannot (?:stat|access|open|remove) )?[‘'"]?([^\s:‘’'"]+)[’'"]?: No such file or directory`)
	switch dir := c.step.Before.WorkingDir; {
	case name == "":
		return ""
	case strings.HasPrefix(name, "/") || dir == "":
		return fmt.Sprintf("There is no %s in the image at this step: correct the path, or copy the file there before.", name)
	default:
		return fmt.Sprintf("There is no %s in %s at this step: correct the path, or copy the file there before.", name, dir)
	}
}

func carriageReturn(c clues) string {
	if c.find(`(\\r['’]?: No such file|\^M: bad interpreter)`) != "" {
		return "A script has Windows line ends (CRLF): save it with LF."
	}
	return ""
}
