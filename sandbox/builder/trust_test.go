package builder_test

import (
	"encoding/pem"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"

	ociruntime "slipway/sandbox/runtime"
)

// What the egress answers itself over TLS is trusted, by the daemon and so by
// steps, if it is told to.
func TestTrustedEgress(t *testing.T) {
	c := config(t, t.TempDir())
	e := newEgress(t)
	c.Egress = e.serve
	const site = "https://example.com/" // httptest's certificate is for it
	b := get(t, open(t, c), "a")
	if _, errs, err := build(t, b, llb.HTTP(site)); err == nil || !strings.Contains(errs, "certificate signed by unknown authority") {
		t.Errorf("a stranger's certificate: %v: %s", err, errs)
	}
	c.Dir = t.TempDir()
	c.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.site.Certificate().Raw})
	b = get(t, open(t, c), "a")
	if _, errs, err := build(t, b, llb.HTTP(site)); err != nil {
		t.Errorf("a trusted certificate: %v: %s", err, errs)
	}
	out, errs, err := build(t, b, shell("wget -q -O- --no-check-certificate "+site))
	if err != nil || !strings.Contains(out, "hello from example.com") || !strings.Contains(out, "GET "+site+" -> 200") {
		t.Errorf("a step: %v: %s%s", err, out, errs)
	}
}

// Programs that don't look into the image's bundle trust the network proxy too,
// in images without a bundle once a builder has seen its certificate.
func TestTrust(t *testing.T) {
	b := get(t, open(t, config(t, t.TempDir())), "a")
	show := `echo file=$NODE_EXTRA_CA_CERTS; grep -c "BEGIN CERTIFICATE" $NODE_EXTRA_CA_CERTS; ls -l / /dev | grep -c ca.pem`
	out, errs, err := build(t, b, shell(show+"; true"))
	if err != nil || !strings.Contains(out, "file=\n") {
		t.Errorf("before: %v: %s%s", err, out, errs)
	}
	bundle := llb.Mkdir("/etc/ssl", 0o755, llb.WithParents(true)).Mkfile("/etc/ssl/cert.pem", 0o644, nil)
	teach := llb.Scratch().File(bundle).Run(llb.Args([]string{ociruntime.Teach}))
	if _, errs, err := build(t, b, teach.Root()); err != nil {
		t.Fatalf("teach: %v: %s", err, errs)
	}
	out, errs, err = build(t, b, shell(show))
	if err != nil || !strings.Contains(out, "file=/dev/proxy-ca.pem\n1\n1\n") {
		t.Errorf("after: %v: %s%s", err, out, errs)
	}
	image := llb.Image("docker.io/library/busybox:latest").File(bundle)
	with := image.Run(llb.Args([]string{"/bin/sh", "-c", "echo file=$SSL_CERT_FILE; grep -c BEGIN $SSL_CERT_FILE"}))
	out, errs, err = build(t, b, with.Root())
	if err != nil || !strings.Contains(out, "file=/etc/ssl/cert.pem\n1\n") {
		t.Errorf("with a bundle: %v: %s%s", err, out, errs)
	}
}
