package archive

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"slipway/server/play"

	"golang.org/x/tools/txtar"
)

// What txtar can't say stands in brackets after the file's name: "-- logo.png [base64] --".
const (
	attrBase64     = "base64"           // the text is the content in base64
	attrExecutable = "executable"       // mode 0755
	attrNoNewline  = "no final newline" // the last newline is txtar's, not the file's
)

// FormatTxtar writes files as txtar below a comment. ParseTxtar gives the same files back, whatever their
// names and bytes are.
func FormatTxtar(comment []byte, files []play.File) []byte {
	a := txtar.Archive{Comment: comment}
	for _, f := range files {
		var attrs []string
		if f.Executable() {
			attrs = append(attrs, attrExecutable)
		}
		data := f.Content
		switch {
		case !plain(data):
			attrs = append(attrs, attrBase64)
			data = wrap(base64.StdEncoding.EncodeToString(data))
		case len(data) > 0 && data[len(data)-1] != '\n':
			attrs = append(attrs, attrNoNewline)
		}
		a.Files = append(a.Files, txtar.File{Name: header(f.Path, attrs), Data: data})
	}
	return txtar.Format(&a)
}

// ParseTxtar reads txtar and the attributes that FormatTxtar writes. It checks no names and no limits. The
// error, if any, is a *play.Error of kind Invalid.
func ParseTxtar(data []byte) (comment []byte, files []play.File, err error) {
	a := txtar.Parse(data)
	for _, e := range a.Files {
		name, attrs := parseHeader(e.Name)
		f := play.File{Path: name, Mode: 0o644, Content: slices.Clip(e.Data)}
		for _, attr := range attrs {
			switch attr {
			case attrExecutable:
				f.Mode = 0o755
			case attrNoNewline:
				f.Content = slices.Clip(bytes.TrimSuffix(f.Content, []byte("\n")))
			case attrBase64:
				// The decoder skips line ends.
				if f.Content, err = base64.StdEncoding.AppendDecode(nil, f.Content); err != nil {
					return nil, nil, play.Errorf(play.Invalid, "%s is marked as base64 and isn't.", name).In(play.Place{File: name}).Because(err)
				}
			}
		}
		files = append(files, f)
	}
	return a.Comment, files, nil
}

// plain reports whether txtar can hold the bytes as they are.
func plain(data []byte) bool {
	return utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 && len(txtar.Parse(data).Files) == 0
}

func header(name string, attrs []string) string {
	if strings.TrimSpace(name) != name || strings.HasPrefix(name, `"`) || strings.HasSuffix(name, "]") {
		name = strconv.Quote(name)
	}
	if len(attrs) > 0 {
		name += " [" + strings.Join(attrs, ", ") + "]"
	}
	return name
}

func parseHeader(s string) (name string, attrs []string) {
	if i := strings.LastIndex(s, " ["); i > 0 && strings.HasSuffix(s, "]") {
		s, attrs = s[:i], strings.Split(s[i+2:len(s)-1], ", ")
	}
	if unquoted, err := strconv.Unquote(s); err == nil && s[0] == '"' {
		return unquoted, attrs
	}
	return s, attrs
}

// wrap breaks s into lines of 76 characters, as MIME does.
func wrap(s string) []byte {
	var b bytes.Buffer
	for line := range slices.Chunk([]byte(s), 76) {
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
