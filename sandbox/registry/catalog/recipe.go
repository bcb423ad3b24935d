package catalog

import (
	"embed"
	"maps"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Recipe says how a stand-in for an official image is made. Files and scripts that it needs are in
// recipes/Name: hook.sh runs on the finished root filesystem, root/ is what the hook copies in.
type Recipe struct {
	Name     string   // the official repository, below library/
	Tags     []string // {version} stands for the upstream version of Package, {series} for its first two parts
	Suite    string   // Debian's
	Packages []string // beyond Debian's minimal system
	Package  string   // the package whose version is the image's
	Series   string   // its first two parts must be this, or the fixed tags would lie; "" if they say no version
	Bare     bool     // the packages' files only, without a Debian around them
	HookDir  string   // mmdebstrap's own hooks that the suite needs
	Config   v1.Config
}

//go:embed recipes
var recipeFiles embed.FS

const debianPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Recipes are the stand-ins of the catalogue, the most used first. Environment, command, user and ports
// are those of the official images of the same name.
func Recipes() []Recipe {
	return []Recipe{
		{
			Name: "debian", Tags: []string{"trixie-slim", "13-slim", "stable-slim"}, Suite: "trixie",
			Packages: []string{"tzdata"}, Package: "base-files",
			Config: v1.Config{Env: []string{"PATH=" + debianPath}, Cmd: []string{"bash"}},
		},
		{
			Name: "python", Tags: []string{"3.14-slim", "3-slim", "slim", "{version}-slim", "{series}-slim-forky"}, Suite: "forky",
			Packages: []string{"ca-certificates", "media-types", "netbase", "tzdata", "python3", "python3-venv"},
			Package:  "python3.14-minimal", Series: "3.14",
			Config: v1.Config{
				Env: []string{"PATH=/usr/local/bin:" + debianPath, "LANG=C.UTF-8", "PYTHON_VERSION={version}"},
				Cmd: []string{"python3"},
			},
		},
		{
			Name: "node", Tags: []string{"20-slim", "20-trixie-slim", "{version}-slim"}, Suite: "trixie",
			Packages: []string{"ca-certificates", "nodejs", "npm", "node-corepack"}, Package: "nodejs", Series: "20",
			Config: v1.Config{
				Env:        []string{"PATH=" + debianPath, "NODE_VERSION={version}"},
				Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"node"},
			},
		},
		{
			Name: "golang", Tags: []string{"1.26", "1.26-forky", "{version}"}, Suite: "forky",
			Packages: []string{
				"ca-certificates", "curl", "g++", "gcc", "git", "golang-1.26-go", "libc6-dev", "make", "netbase",
				"pkg-config", "wget",
			},
			Package: "golang-1.26-go", Series: "1.26",
			Config: v1.Config{
				Env: []string{
					"PATH=/go/bin:/usr/local/go/bin:" + debianPath, "GOLANG_VERSION={version}", "GOTOOLCHAIN=local", "GOPATH=/go",
				},
				Cmd: []string{"bash"}, WorkingDir: "/go",
			},
		},
		{
			Name: "debian", Tags: []string{"bookworm-slim", "12-slim", "oldstable-slim"}, Suite: "bookworm",
			Packages: []string{"tzdata", "usr-is-merged"}, Package: "base-files",
			HookDir: "/usr/share/mmdebstrap/hooks/merged-usr", // otherwise it brings a program to merge /usr, and Perl for it
			Config:  v1.Config{Env: []string{"PATH=" + debianPath}, Cmd: []string{"bash"}},
		},
		{
			Name: "nginx", Tags: []string{"latest", "trixie", "{series}", "{version}"}, Suite: "trixie",
			Packages: []string{"ca-certificates", "curl", "gettext-base", "nginx-light"}, Package: "nginx",
			Config: v1.Config{
				Env:        []string{"PATH=" + debianPath, "NGINX_VERSION={version}"},
				Entrypoint: []string{"/docker-entrypoint.sh"}, Cmd: []string{"nginx", "-g", "daemon off;"},
				ExposedPorts: map[string]struct{}{"80/tcp": {}}, StopSignal: "SIGQUIT",
			},
		},
		{
			Name: "busybox", Tags: []string{"latest", "glibc", "{series}", "{version}"}, Suite: "trixie",
			Packages: []string{"busybox-static"}, Package: "busybox-static", Bare: true,
			Config: v1.Config{Env: []string{"PATH=" + debianPath}, Cmd: []string{"sh"}},
		},
	}
}

// title names a recipe in progress and messages.
func (r Recipe) title() string { return r.Name + ":" + r.Tags[0] }

// upstreamVersion takes Debian's epoch, revision and repacking marks off a package's version.
func upstreamVersion(debian string) string {
	if _, after, ok := strings.Cut(debian, ":"); ok {
		debian = after
	}
	return regexp.MustCompile(`^[0-9]+(\.[0-9]+)*`).FindString(debian)
}

// fill puts a version into the tags and the environment.
func (r Recipe) fill(version string) Recipe {
	parts := append(strings.SplitN(version, ".", 3), "", "")
	replace := strings.NewReplacer("{version}", version, "{series}", strings.TrimSuffix(parts[0]+"."+parts[1], "."))
	filled := r
	filled.Tags = slices.Clone(r.Tags)
	for i := range filled.Tags {
		filled.Tags[i] = replace.Replace(r.Tags[i])
	}
	slices.Sort(filled.Tags[1:])
	filled.Tags = slices.Compact(filled.Tags)
	filled.Config.Env = slices.Clone(r.Config.Env)
	for i := range filled.Config.Env {
		filled.Config.Env[i] = replace.Replace(r.Config.Env[i])
	}
	filled.Config.ExposedPorts = maps.Clone(r.Config.ExposedPorts)
	return filled
}
