package oci

import (
	"crypto/sha256"
	"fmt"
	"time"

	"slipway/internal/tree"
)

// Config is what an image says about how it runs (config.md). The zero value
// is a system that init starts.
type Config struct {
	// Architecture is Debian's or Go's name; empty: amd64.
	Architecture string
	Entrypoint   []string // empty: /sbin/init
	Cmd          []string
	Env          []string // NAME=VALUE
	WorkingDir   string
	User         string
	StopSignal   string            // empty: what systemd takes as an orderly stop, if there is no Entrypoint
	Labels       map[string]string // of the image
	Ref          string            // the name it gets when it is loaded; empty: latest
}

// platforms translates Debian's architectures where Go has other names.
var platforms = map[string]platform{
	"":         {Architecture: "amd64"},
	"armhf":    {Architecture: "arm", Variant: "v7"},
	"armel":    {Architecture: "arm", Variant: "v5"},
	"arm64":    {Architecture: "arm64", Variant: "v8"},
	"i386":     {Architecture: "386"},
	"ppc64el":  {Architecture: "ppc64le"},
	"mips64el": {Architecture: "mips64le"},
	"mipsel":   {Architecture: "mipsle"},
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

func (c Config) platform() platform {
	p, ok := platforms[c.Architecture]
	if !ok {
		p.Architecture = c.Architecture
	}
	p.OS = "linux"
	return p
}

type document struct {
	Created string `json:"created,omitempty"`
	platform
	Config  runConfig `json:"config"`
	RootFS  rootFS    `json:"rootfs"`
	History []history `json:"history"`
}

type runConfig struct {
	User       string            `json:"User,omitempty"`
	Env        []string          `json:"Env,omitempty"`
	Entrypoint []string          `json:"Entrypoint,omitempty"`
	Cmd        []string          `json:"Cmd,omitempty"`
	WorkingDir string            `json:"WorkingDir,omitempty"`
	Labels     map[string]string `json:"Labels,omitempty"`
	StopSignal string            `json:"StopSignal,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   string `json:"created,omitempty"`
	CreatedBy string `json:"created_by"`
}

// document makes the configuration. Without an epoch it has no time.
func (c Config) document(diffID tree.Digest, epoch int64) ([]byte, error) {
	created := ""
	if epoch > 0 {
		created = time.Unix(epoch, 0).UTC().Format(time.RFC3339)
	}
	run := runConfig{User: c.User, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd,
		WorkingDir: c.WorkingDir, Labels: c.Labels, StopSignal: c.StopSignal}
	if len(run.Entrypoint) == 0 {
		run.Entrypoint = []string{"/sbin/init"}
		if run.StopSignal == "" {
			run.StopSignal = "SIGRTMIN+3"
		}
	}
	return encode(document{
		Created: created, platform: c.platform(), Config: run,
		RootFS:  rootFS{Type: "layers", DiffIDs: []string{name(diffID)}},
		History: []history{{Created: created, CreatedBy: "slipway"}},
	})
}

func name(d tree.Digest) string { return fmt.Sprintf("sha256:%s", d) }

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

const (
	configType   = "application/vnd.oci.image.config.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

func describe(mediaType string, data []byte) descriptor {
	return descriptor{MediaType: mediaType, Digest: name(sha256.Sum256(data)), Size: int64(len(data))}
}

func (o Writer) manifest(l *layer, config []byte) manifest {
	return manifest{2, manifestType, describe(configType, config),
		[]descriptor{{MediaType: layerTypes[o.Compression], Digest: name(l.digest), Size: l.size}}}
}

func (o Writer) index(manifest []byte) index {
	d, p := describe(manifestType, manifest), o.Config.platform()
	ref := o.Config.Ref
	if ref == "" {
		ref = "latest"
	}
	d.Platform, d.Annotations = &p, map[string]string{"org.opencontainers.image.ref.name": ref}
	return index{2, indexType, []descriptor{d}}
}
