package runtime

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// BuildKit's network proxy ends TLS: it makes a certificate authority when the
// daemon starts and, for the time of a step, adds its certificate to the
// image's bundle, if it has one (executor/proxyca_linux.go). Two things are
// missing: programs with a trust store of their own, such as Node.js, and
// images without a bundle, such as node:slim. So the step's environment names
// the bundle; and an image without one gets the certificate that a container
// made for the purpose has shown us, mounted where it leaves no trace in the
// image.

// Teach is the command of a container that exists only to show us the
// certificate: it has a bundle and nothing to run. What it showed is in CA, for
// as long as the daemon lives.
const (
	Teach = "slipway-teach-proxy-ca"
	CA    = "/run/proxy-ca.pem"
)

// traceSocket is where BuildKit mounts its trace collector into containers
// (executor/oci/spec_linux.go), for anybody to fill the daemon's memory with.
const traceSocket = "/dev/otel-grpc.sock"

// mountedTrust lies in the container's /dev, a tmpfs.
const mountedTrust = "/dev/proxy-ca.pem"

// The marks around what BuildKit adds.
const (
	beginMark = "\n# buildkit proxy CA begin\n"
	endMark   = "# buildkit proxy CA end\n"
)

// bundleMax is BuildKit's own bound on bundles, in bytes.
const bundleMax = 10 << 20

// bundles are the files to which BuildKit adds its certificate: the first one
// that an image has.
func bundles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/ssl/cert.pem",
	}
}

// trustVariables name a file of certificates to programs that don't look into
// the system's.
func trustVariables() []string {
	return []string{
		"SSL_CERT_FILE",       // OpenSSL, Go, uv
		"NODE_EXTRA_CA_CERTS", // Node.js
		"REQUESTS_CA_BUNDLE",  // Python's requests
		"PIP_CERT",            // pip
		"CURL_CA_BUNDLE",      // curl
		"GIT_SSL_CAINFO",      // git
		"CARGO_HTTP_CAINFO",   // cargo
		"DENO_CERT",           // Deno
	}
}

// trustProxy makes the programs of a step that has network trust the proxy. It
// returns what BuildKit added to the root for that, and reports true for a
// container that is there to teach.
func (s settings) trustProxy(spec *specs.Spec, rootfs string) (added *addition, taught bool, err error) {
	if !slices.ContainsFunc(spec.Process.Env, func(v string) bool { return strings.HasPrefix(v, "HTTPS_PROXY=") }) {
		return nil, false, nil
	}
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return nil, false, err
	}
	defer root.Close()
	found := findCA(root)
	if slices.Equal(spec.Process.Args, []string{Teach}) {
		if found == nil {
			return nil, false, errors.New("there is no certificate to learn")
		}
		return nil, true, s.learn(found.ca)
	}
	bundle := mountedTrust
	if found != nil {
		bundle, added = found.path, newAddition(root, found)
	} else if _, err := os.Stat(s.trust); err == nil {
		spec.Mounts = append(spec.Mounts, specs.Mount{
			Destination: mountedTrust, Type: "bind", Source: s.trust, Options: []string{"bind", "ro", "nosuid", "nodev"},
		})
	} else {
		return nil, false, nil // nobody has taught us yet
	}
	for _, name := range trustVariables() {
		if !slices.ContainsFunc(spec.Process.Env, func(v string) bool { return strings.HasPrefix(v, name+"=") }) {
			spec.Process.Env = append(spec.Process.Env, name+"="+bundle)
		}
	}
	return added, false, nil
}

// An injection is a bundle to which BuildKit added its certificate.
type injection struct {
	path   string // as the container's programs name it
	bundle []byte // without the certificate
	ca     []byte
}

// findCA finds BuildKit's certificate, or nil. The root is a stranger's: links
// in it lead nowhere outside.
func findCA(root *os.Root) *injection {
	for _, path := range bundles() {
		name := strings.TrimPrefix(path, "/")
		info, err := root.Stat(name)
		if err != nil || !info.Mode().IsRegular() || info.Size() > bundleMax {
			continue
		}
		data, err := root.ReadFile(name)
		if err != nil {
			continue
		}
		// It is the end of the file; an image may hold look-alikes before it.
		rest, ok := bytes.CutSuffix(data, []byte(endMark))
		begin := bytes.LastIndex(rest, []byte(beginMark))
		if ok && begin >= 0 {
			return &injection{path: path, bundle: rest[:begin], ca: rest[begin+len(beginMark):]}
		}
	}
	return nil
}

// learn keeps the certificate, once: it is the same as long as the daemon lives.
func (s settings) learn(ca []byte) error {
	if _, err := os.Stat(s.trust); err == nil {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(s.trust), "ca-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(ca)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.trust)
}

// isTrace reports whether BuildKit added a variable to send traces by.
func isTrace(v string) bool {
	return v == "OTEL_TRACES_EXPORTER=otlp" ||
		v == "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc" ||
		strings.HasPrefix(v, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=unix:///dev/") ||
		strings.HasPrefix(v, "TRACEPARENT=") || strings.HasPrefix(v, "TRACESTATE=")
}
