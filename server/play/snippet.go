package play

import (
	"crypto/sha256"
	"encoding/binary"
	"io/fs"
	"math/big"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// File is one file of a build context.
type File struct {
	Path    string // slash-separated, relative, clean
	Mode    fs.FileMode
	Content []byte
}

// Executable reports whether anyone may execute the file.
func (f File) Executable() bool { return f.Mode&0o111 != 0 }

// Revision is the immutable files of a snippet: they are the build context. Files are sorted by path, and ID
// is derived from their paths, modes and contents alone.
type Revision struct {
	ID    string
	Files []File
}

// NewRevision checks files against limits, sorts them and names the result. Modes are reduced to 0644 or
// 0755. The error, if any, is an *Error of kind Invalid or Limited that names the file.
func NewRevision(files []File, limits Limits) (Revision, error) {
	if err := limits.checkFiles(files); err != nil {
		return Revision{}, err
	}
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for i := range sorted {
		if sorted[i].Executable() {
			sorted[i].Mode = 0o755
		} else {
			sorted[i].Mode = 0o644
		}
	}
	return Revision{ID: revisionID(sorted), Files: sorted}, nil
}

// File returns the file at path.
func (r Revision) File(path string) (File, bool) {
	i, ok := slices.BinarySearchFunc(r.Files, path, func(f File, p string) int { return strings.Compare(f.Path, p) })
	if !ok {
		return File{}, false
	}
	return r.Files[i], true
}

func revisionID(sorted []File) string {
	h := sha256.New()
	var size [8]byte
	field := func(b []byte) {
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	for _, f := range sorted {
		field([]byte(f.Path))
		field([]byte{byte(f.Mode >> 6 & 1)})
		field(f.Content)
	}
	return Name(h.Sum(nil), 22)
}

// letters hold no vowels, so that no id spells a word, and nothing that a linkifier drops from a URL's end.
const letters = "0123456789bcdfghjklmnpqrstvwxyz"

// Name writes the number in b as n letters, about 4.95 bits each: the form of every id.
func Name(b []byte, n int) string {
	num, base, digit := new(big.Int).SetBytes(b), big.NewInt(int64(len(letters))), new(big.Int)
	out := make([]byte, n)
	for i := range out {
		num.DivMod(num, base, digit)
		out[n-1-i] = letters[digit.Int64()]
	}
	return string(out)
}

// IsName reports whether s has the form of an id.
func IsName(s string) bool {
	return len(s) >= 8 && len(s) <= 40 && strings.Trim(s, letters) == ""
}

// Snippet is something with a link: a title and a line of revisions, of which it knows the latest.
type Snippet struct {
	ID         string
	Title      string
	Owner      string // a Viewer's ID
	Revision   string // latest
	ForkedFrom string // snippet, or ""
	Public     bool   // listed for everyone; otherwise only who has the link finds it
	Created    time.Time
	Updated    time.Time
}

// maxTitle is how many characters a title may have.
const maxTitle = 120

// Title makes a title of what a person wrote: one line without anything that would break or reorder it, not too long.
func Title(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}), " ")
	if r := []rune(s); len(r) > maxTitle {
		s = strings.TrimSpace(string(r[:maxTitle]))
	}
	return s
}

// Version is one place in a snippet's line of revisions.
type Version struct {
	N        int // from 1
	Revision string
	Created  time.Time
}

// CheckPath says what is wrong with a file's path in a build context: an *Error of kind Invalid, or nil.
func CheckPath(p string) error {
	bad := func(why string) error {
		return Errorf(Invalid, "The file name %q %s.", short(p), why)
	}
	switch {
	case p == "":
		return Errorf(Invalid, "A file has no name.")
	case !utf8.ValidString(p):
		return bad("is not valid UTF-8")
	case len(p) > 255:
		return bad("is longer than 255 bytes")
	case strings.HasPrefix(p, "/"):
		return bad("is absolute; names are relative to the build context")
	case strings.ContainsRune(p, '\\'):
		return bad("contains a backslash; use / between folders")
	case strings.ContainsFunc(p, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }):
		return bad("contains a control character")
	case path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../"):
		return bad("is not a clean relative path: no empty parts, no . and no ..")
	case strings.Count(p, "/") >= 16:
		return bad("is nested deeper than 16 folders")
	}
	return nil
}

func short(s string) string {
	if len(s) <= 80 {
		return s
	}
	return s[:80] + "…"
}
