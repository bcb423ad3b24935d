package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
)

// Settings are what a server and a worker can be told, as flags and as environment variables.
type Settings struct {
	Data        string         `default:"${data}" env:"SLIPWAY_DATA" type:"path" help:"Folder for everything that is kept."`
	Catalog     string         `env:"SLIPWAY_CATALOG" type:"path" help:"Folder of the base image catalogue. If not set: catalog in the data folder."`
	Worker      string         `env:"SLIPWAY_WORKER" help:"Name of this machine, shown on builds. If not set: its host name."`
	Buildkitd   string         `default:"${buildkitd}" env:"SLIPWAY_BUILDKITD" help:"Program of buildkitd."`
	Runc        string         `default:"runc" env:"SLIPWAY_RUNC" help:"Program of runc."`
	CNI         string         `name:"cni" default:"/usr/lib/cni" env:"SLIPWAY_CNI" type:"path" help:"Folder of the container network plugins."`
	Slots       int            `default:"2" env:"SLIPWAY_SLOTS" help:"Builds at the same time."`
	Memory      bytesize       `default:"3GiB" env:"SLIPWAY_MEMORY" help:"Memory of a builder, its steps included."`
	PIDs        int64          `name:"pids" default:"1024" env:"SLIPWAY_PIDS" help:"Processes and threads of a builder."`
	CPUs        float64        `name:"cpus" default:"2" env:"SLIPWAY_CPUS" help:"Processors that a builder may keep busy."`
	Disk        bytesize       `default:"8GiB" env:"SLIPWAY_DISK" help:"Bytes of a builder's file system: base images, layers, cache."`
	DiskTotal   bytesize       `default:"32GiB" env:"SLIPWAY_DISK_TOTAL" help:"Bytes of all builders' file systems together."`
	UIDBase     uint32         `name:"uid-base" default:"100000" env:"SLIPWAY_UID_BASE" help:"First of the machine's user ids that builders use; each takes 65,536."`
	EgressAllow []netip.Prefix `env:"SLIPWAY_EGRESS_ALLOW" placeholder:"CIDR" help:"Addresses that builds may reach although they are not public, such as a package mirror's."`
	EgressProxy *url.URL       `env:"SLIPWAY_EGRESS_PROXY" placeholder:"URL" help:"HTTP proxy through which this machine reaches the world."`
	NATS        string         `name:"nats" env:"SLIPWAY_NATS" placeholder:"URL" help:"NATS server or cluster to use. If not set, serve runs one inside."`
	NATSCreds   string         `name:"nats-creds" env:"SLIPWAY_NATS_CREDS" type:"path" placeholder:"FILE" help:"Credentials for it: a .creds file or a file with an nkey seed."`
	Verbose     bool           `short:"v" env:"SLIPWAY_VERBOSE" help:"Log requests and what the parts do."`
}

// defaults are those of the settings that depend on where the program is: in a source tree in which
// go run ./cmd/dev up was run, what that made; elsewhere, what is installed.
func defaults() kong.Vars {
	const made = ".data/bin/buildkitd"
	if _, err := os.Stat(made); err == nil {
		return kong.Vars{"data": ".data", "buildkitd": made}
	}
	return installed()
}

func installed() kong.Vars {
	return kong.Vars{"data": "/var/lib/slipway", "buildkitd": "buildkitd"}
}

func (s Settings) catalogDir() string { return cmp.Or(s.Catalog, filepath.Join(s.Data, "catalog")) }

func (s Settings) logger() *slog.Logger {
	level := slog.LevelInfo
	if s.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// bytesize is a number of bytes, written as 5MiB, 2GiB or plainly.
type bytesize int64

// UnmarshalText reads a size.
func (b *bytesize) UnmarshalText(text []byte) error {
	number, unit := strings.TrimRight(string(text), "KMGiB"), strings.TrimLeft(string(text), "0123456789.")
	var f float64
	if _, err := fmt.Sscanf(number, "%g", &f); err != nil || f < 0 {
		return fmt.Errorf("%q is not a size such as 512MiB", text)
	}
	shift, ok := map[string]int{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30}[unit]
	if !ok {
		return fmt.Errorf("%q: the unit is B, KiB, MiB or GiB", text)
	}
	*b = bytesize(f * float64(int64(1)<<shift))
	return nil
}

type settingsCmd struct {
	Write string `required:"" type:"existingfile" help:"Markdown file with the two marks."`
}

// Run replaces what stands between the marks by the table of serve's flags.
func (c *settingsCmd) Run() error {
	text, err := os.ReadFile(c.Write)
	if err != nil {
		return err
	}
	begin := bytes.Index(text, []byte("<!-- settings:"))
	end := bytes.Index(text, []byte("<!-- end of settings -->"))
	if begin < 0 || end < begin {
		return errors.New("the marks <!-- settings: … --> and <!-- end of settings --> are missing")
	}
	begin += bytes.IndexByte(text[begin:], '\n') + 1
	out := append(bytes.Clone(text[:begin]), settingsTable()...)
	return os.WriteFile(c.Write, append(out, text[end:]...), 0o644)
}

func settingsTable() []byte {
	k := kong.Must(&cli{}, kong.Name("slipway"), installed())
	var b bytes.Buffer
	b.WriteString("\n| flag | environment | default | |\n|---|---|---|---|\n")
	for _, command := range k.Model.Children {
		if command.Name != "serve" {
			continue
		}
		for _, f := range command.Flags {
			value := "none"
			if f.HasDefault {
				value = "`" + f.Default + "`"
			}
			fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", f.Name, strings.Join(f.Envs, "`, `"), value, f.Help)
		}
	}
	b.WriteString("\n")
	return b.Bytes()
}
