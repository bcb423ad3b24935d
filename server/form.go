package server

import (
	"encoding/base64"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"slipway/server/archive"
	"slipway/server/play"

	"github.com/labstack/echo/v4"
)

// A form is what someone typed into the editor without script, as web.EditorPage says, or what a page of the
// editor begins with.
type form struct {
	action   string
	title    string
	base     string // revision that was edited
	from     string // snippet that a new one is a copy of
	files    []play.File
	options  play.BuildRequest
	args     string // build arguments as typed
	open     string // path of the file in front
	revision play.Revision
	analyse  bool        // whether to lint and explain
	must     bool        // whether a text that can't be analysed is an error to show
	refused  *play.Error // why it was not done
}

// kept is the files without those that say nothing: no name and no content.
func (f form) kept() []play.File {
	return slices.DeleteFunc(slices.Clone(f.files), func(f play.File) bool { return f.Path == "" && len(f.Content) == 0 })
}

// readForm reads a post. With an error, the form still holds all that could be read.
func (s *Server) readForm(c echo.Context) (form, error) {
	r := c.Request()
	if err := s.parseMultipart(r); err != nil {
		return form{}, err
	}
	get := r.PostFormValue
	f := form{
		action: get("action"), title: get("title"), base: get("base"), from: get("forked_from"), args: lf(get("args")), open: get("open"),
		options: play.BuildRequest{
			Dockerfile: get("dockerfile"), Target: get("target"), Platform: get("platform"), Network: get("network"), NoCache: get("no_cache") != "",
		},
	}
	var errs []error
	f.files, errs = formFiles(r.MultipartForm.Value)
	args, err := parseArgs(f.args)
	f.options.BuildArgs = args
	errs = append(errs, err)
	added, err := s.uploads(r.MultipartForm.File["upload"])
	f.files, errs = merged(f.files, added), append(errs, err)
	for _, err := range errs {
		if err != nil {
			return f, err // the first; the next post shows the next
		}
	}
	return f, nil
}

// formFiles reads the fields path.N and those that go with them, until the first N that is missing.
func formFiles(values map[string][]string) (files []play.File, errs []error) {
	for n := 0; ; n++ {
		field := func(name string) (string, bool) {
			v := values[name+"."+strconv.Itoa(n)]
			return strings.Join(v, ""), len(v) > 0
		}
		name, ok := field("path")
		if !ok {
			return files, errs
		}
		if _, gone := field("delete"); gone {
			continue
		}
		f := play.File{Path: strings.TrimSpace(name), Mode: 0o644}
		if exec, _ := field("exec"); exec != "" {
			f.Mode = 0o755
		}
		if coded, ok := field("base64"); ok && coded != "" {
			var err error
			if f.Content, err = base64.StdEncoding.DecodeString(coded); err != nil {
				errs = append(errs, play.Errorf(play.Invalid, "The content of %s was damaged on its way.", clip(name)).In(play.Place{File: name}).Because(err))
			}
		} else {
			text, _ := field("content")
			if eol, _ := field("eol"); eol != "crlf" {
				text = lf(text)
			}
			f.Content = []byte(text)
		}
		files = append(files, f)
	}
}

// lf gives text the line ends that it had before a browser sent it.
func lf(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

// parseArgs reads build arguments, one NAME=value a line.
func parseArgs(text string) (map[string]string, error) {
	var args map[string]string
	for n, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return args, play.Errorf(play.Invalid, "Line %d of the build arguments is %q; write NAME=value.", n+1, clip(line))
		}
		if args == nil {
			args = map[string]string{}
		}
		args[strings.TrimSpace(name)] = value
	}
	return args, nil
}

// parseMultipart reads a form whole into memory: the body is bounded.
func (s *Server) parseMultipart(r *http.Request) error {
	err := r.ParseMultipartForm(bodyLimit(s.Limits))
	if he := new(echo.HTTPError); err == nil || errors.As(err, &he) {
		return err // too large
	}
	return play.Errorf(play.Invalid, "The form can't be read; send it as multipart/form-data.").Because(err)
}

// uploads reads uploaded files: an archive gives all that it holds. With an error it gives those that are good.
func (s *Server) uploads(headers []*multipart.FileHeader) (files []play.File, failed error) {
	for _, h := range headers {
		name := path.Base(strings.ReplaceAll(h.Filename, `\`, "/"))
		if h.Filename == "" { // what a browser sends if nothing was chosen
			continue
		}
		src, err := h.Open()
		if err != nil {
			return files, err
		}
		data, err := io.ReadAll(src)
		src.Close()
		if err != nil {
			return files, err
		}
		added := []play.File{{Path: name, Mode: 0o644, Content: data}}
		if isArchive(name) {
			added, err = archive.Read(data, s.Limits)
		}
		if err != nil && failed == nil {
			failed = tooLarge(err)
		}
		files = merged(files, added)
	}
	return files, failed
}

func isArchive(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{".zip", ".tar", ".tar.gz", ".tgz", ".txtar"}, func(ext string) bool { return strings.HasSuffix(name, ext) })
}

// merged is files with added ones, which take the place of those of the same path.
func merged(files, added []play.File) []play.File {
	for _, a := range added {
		i := slices.IndexFunc(files, func(f play.File) bool { return f.Path == a.Path })
		if i < 0 {
			files = append(files, a)
			continue
		}
		files[i] = a
	}
	return files
}
