package server

import (
	"context"
	"net/http"
	"reflect"
	"strings"

	"slipway/server/lint"
	"slipway/server/play"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
)

type textBody struct {
	Files      fileSet           `json:"files"`
	Dockerfile string            `json:"dockerfile,omitempty" doc:"Path; Dockerfile if absent"`
	Target     string            `json:"target,omitempty"`
	BuildArgs  map[string]string `json:"build_args,omitempty" nullable:"true"`
	Platform   string            `json:"platform,omitempty"`
}

func (b textBody) text() Text {
	return Text{Files: b.Files.files(), Dockerfile: b.Dockerfile, Target: b.Target, BuildArgs: b.BuildArgs, Platform: b.Platform}
}

type lintInput struct {
	Accept string `header:"Accept" doc:"application/sarif+json for SARIF 2.1.0"`
	Body   textBody
}

type lintOutput struct {
	ContentType string `header:"Content-Type"`
	Body        any
}

type findingsBody struct {
	Diagnostics []play.Diagnostic `json:"diagnostics" nullable:"false"`
}

// postLint is POST /lint.
func (s *Server) postLint(ctx context.Context, in *lintInput) (*lintOutput, error) {
	found, err := s.lint(ctx, viewerOf(ctx), in.Body.text())
	if err != nil {
		return nil, err
	}
	if strings.Contains(in.Accept, sarifType) {
		return &lintOutput{sarifType, sarifOf(found, s.BaseURL)}, nil
	}
	return &lintOutput{"application/json", findingsBody{found}}, nil
}

type explainInput struct{ Body textBody }

// postExplain is POST /explain.
func (s *Server) postExplain(ctx context.Context, in *explainInput) (*stepsOutput, error) {
	steps, err := s.explain(ctx, viewerOf(ctx), in.Body.text())
	if err != nil {
		return nil, err
	}
	return &stepsOutput{stepsBody{Steps: steps}}, nil
}

type rulesOutput struct {
	Body struct {
		Rules []ruleBody `json:"rules" nullable:"false"`
	}
}

type ruleBody struct {
	ID       string        `json:"id"`
	Severity play.Severity `json:"severity"`
	Title    string        `json:"title"`
	URL      string        `json:"url"`
}

// getRules is GET /rules.
func (s *Server) getRules(context.Context, *struct{}) (*rulesOutput, error) {
	var out rulesOutput
	for _, r := range lint.Rules() {
		out.Body.Rules = append(out.Body.Rules, ruleBody{ID: r.ID, Severity: r.Severity, Title: r.Title, URL: s.BaseURL + "/rules/" + r.ID})
	}
	return &out, nil
}

type unpackBody struct {
	Files fileSet `json:"files"`
}

// unpack is POST /unpack: the files of archives, and other files as they are. It reads the form itself, in
// memory: huma would put the files on disk.
func (s *Server) unpack(c echo.Context) error {
	r := c.Request()
	if err := s.rates.saves.take(viewerOf(r.Context()), s.Now()); err != nil {
		return err
	}
	if err := s.parseMultipart(r); err != nil {
		return err
	}
	var files []play.File
	for _, headers := range r.MultipartForm.File {
		added, err := s.uploads(headers)
		if err != nil {
			return err
		}
		files = merged(files, added)
	}
	rev, err := s.revision(files)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, unpackBody{fileSetOf(rev.Files)})
}

// unpackOperation describes unpack.
func unpackOperation(api huma.API) *huma.Operation {
	schemas := api.OpenAPI().Components.Schemas
	op := &huma.Operation{
		OperationID: "unpack", Method: http.MethodPost, Path: "/unpack", Summary: "Unpack .zip, .tar, .tar.gz and .txtar archives",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"multipart/form-data": {Schema: &huma.Schema{Type: huma.TypeObject, Description: "Any number of files"}},
		}},
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"application/json": {Schema: schemas.Schema(reflect.TypeFor[unpackBody](), true, "UnpackBody")},
		}}},
	}
	op.Responses = withProblem(op.Responses, api)
	return op
}
