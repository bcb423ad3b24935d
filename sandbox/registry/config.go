package registry

import (
	"encoding/json"
	"maps"
	"os"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway/sandbox/registry/catalog"
	"slipway/server/play"
)

// ImageConfig is the configuration of an image that the catalogue has, by the reference as a Dockerfile has it.
// It looks nowhere else.
func ImageConfig(c *catalog.Catalog, ref string) (play.ImageConfig, bool) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return play.ImageConfig{}, false
	}
	image, ok := c.Find(parsed)
	if !ok || image.MediaType.IsIndex() {
		return play.ImageConfig{}, false
	}
	var manifest v1.Manifest
	var config v1.ConfigFile
	if !readJSON(c.Blob(image.Digest), &manifest) || !readJSON(c.Blob(manifest.Config.Digest), &config) {
		return play.ImageConfig{}, false
	}
	return imageConfig(config.Config), true
}

func readJSON(file string, v any) bool {
	b, err := os.ReadFile(file)
	return err == nil && json.Unmarshal(b, v) == nil
}

func imageConfig(c v1.Config) play.ImageConfig {
	out := play.ImageConfig{
		User: c.User, WorkingDir: c.WorkingDir, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd,
		Labels: c.Labels, StopSignal: c.StopSignal, Shell: c.Shell,
	}
	out.Exposed = slices.Sorted(maps.Keys(c.ExposedPorts))
	out.Volumes = slices.Sorted(maps.Keys(c.Volumes))
	if c.Healthcheck != nil {
		out.Healthcheck = c.Healthcheck.Test
	}
	return out
}
