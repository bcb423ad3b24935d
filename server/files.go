package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"slipway/server/play"

	"github.com/danielgtaylor/huma/v2"
)

// fileSet is the files of a revision in JSON, by path.
type fileSet map[string]fileBody

// A fileBody is one file in JSON: its text, or an object that says more: {"text": "…", "executable": true} or
// {"base64": "…"}.
type fileBody struct {
	content    []byte
	executable bool
}

// fileObject is the long form of a fileBody.
type fileObject struct {
	Text       *string `json:"text,omitempty"`
	Base64     *[]byte `json:"base64,omitempty"`
	Executable bool    `json:"executable,omitempty"`
}

// Schema tells OpenAPI of both forms.
func (fileBody) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: huma.TypeString, Description: "The file's text"}
	object := &huma.Schema{
		Type:                 huma.TypeObject,
		AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"text":       {Type: huma.TypeString},
			"base64":     {Type: huma.TypeString, ContentEncoding: "base64", Description: "The file's bytes, in place of text"},
			"executable": {Type: huma.TypeBoolean},
		},
	}
	object.PrecomputeMessages()
	text.PrecomputeMessages()
	return &huma.Schema{OneOf: []*huma.Schema{text, object}}
}

func (f *fileBody) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		var text string
		err := json.Unmarshal(b, &text)
		f.content = []byte(text)
		return err
	}
	var o fileObject
	if err := json.Unmarshal(b, &o); err != nil {
		return err
	}
	f.executable = o.Executable
	switch {
	case o.Base64 != nil && o.Text != nil:
		return errors.New("a file has either text or base64, not both")
	case o.Base64 != nil:
		f.content = *o.Base64
	case o.Text != nil:
		f.content = []byte(*o.Text)
	}
	return nil
}

func (f fileBody) MarshalJSON() ([]byte, error) {
	text, isText := string(f.content), utf8.Valid(f.content) && bytes.IndexByte(f.content, 0) < 0
	switch {
	case isText && !f.executable:
		return json.Marshal(text)
	case isText:
		return json.Marshal(fileObject{Text: &text, Executable: true})
	}
	return json.Marshal(fileObject{Base64: &f.content, Executable: f.executable})
}

func (fs fileSet) files() []play.File {
	files := make([]play.File, 0, len(fs))
	for path, f := range fs {
		file := play.File{Path: path, Mode: 0o644, Content: f.content}
		if f.executable {
			file.Mode = 0o755
		}
		files = append(files, file)
	}
	return files
}

func fileSetOf(files []play.File) fileSet {
	fs := make(fileSet, len(files))
	for _, f := range files {
		fs[f.Path] = fileBody{content: f.Content, executable: f.Executable()}
	}
	return fs
}

// revision checks files and names them.
func (s *Server) revision(files []play.File) (play.Revision, error) {
	if len(files) == 0 {
		return play.Revision{}, play.Errorf(play.Invalid, "There are no files; send at least a Dockerfile.")
	}
	rev, err := play.NewRevision(files, s.Limits)
	return rev, tooLarge(err)
}
