package play

import (
	"strings"
	"time"
)

// Limits bound what one request may ask for and one job may use. Zero fields are not "no limit": start from
// DefaultLimits.
type Limits struct {
	Files      int   // files of a revision
	FileBytes  int64 // bytes of one file
	TotalBytes int64 // bytes of all files of a revision

	DockerfileBytes int64 // bytes of a Dockerfile
	DockerfileLines int   // lines of a Dockerfile
	Stages          int   // stages of a Dockerfile that is built
	Instructions    int   // instructions of a Dockerfile that is built
	ExpansionBytes  int64 // bytes that expanding the variables of a Dockerfile may make

	Build       time.Duration // wall clock of a build, from its start
	Queue       time.Duration // wait for a place
	OutputBytes int64         // output of a job that is kept
	OutputLines int           // lines of output of a job that are kept
	Events      int           // events of a job
	Parallel    int           // jobs of one viewer at a time
}

// DefaultLimits are the limits of a server that was told nothing else.
func DefaultLimits() Limits {
	return Limits{
		Files: 200, FileBytes: 1 << 20, TotalBytes: 5 << 20,
		DockerfileBytes: 256 << 10, DockerfileLines: 5000, Stages: 40, Instructions: 300, ExpansionBytes: 256 << 10,
		Build: 10 * time.Minute, Queue: 10 * time.Minute,
		OutputBytes: 4 << 20, OutputLines: 50_000, Events: 20_000, Parallel: 2,
	}
}

func (l Limits) checkFiles(files []File) error {
	if len(files) > l.Files {
		return Errorf(Limited, "There are %d files; at most %d are allowed.", len(files), l.Files)
	}
	var total int64
	seen := make(map[string]string, len(files)) // folded path → path
	for _, f := range files {
		if err := CheckPath(f.Path); err != nil {
			return err
		}
		if n := int64(len(f.Content)); n > l.FileBytes {
			return Errorf(Limited, "%s has %d bytes; a file may have at most %d.", f.Path, n, l.FileBytes).In(Place{File: f.Path})
		}
		total += int64(len(f.Content))
		folded := strings.ToLower(f.Path)
		if other, ok := seen[folded]; ok {
			if other == f.Path {
				return Errorf(Invalid, "The file %s is there twice.", f.Path).In(Place{File: f.Path})
			}
			return Errorf(Invalid, "The files %s and %s differ in case only; rename one, so that the context works on every system.", other, f.Path).In(Place{File: f.Path})
		}
		seen[folded] = f.Path
	}
	for folded, p := range seen {
		for i := strings.LastIndexByte(folded, '/'); i > 0; i = strings.LastIndexByte(folded[:i], '/') {
			if other, ok := seen[folded[:i]]; ok {
				return Errorf(Invalid, "%s is a file and a folder at once (%s).", other, p).In(Place{File: other})
			}
		}
	}
	if total > l.TotalBytes {
		return Errorf(Limited, "The files have %d bytes together; at most %d are allowed.", total, l.TotalBytes)
	}
	return nil
}
