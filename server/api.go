package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"time"
	"unicode/utf8"

	"slipway/server/play"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"
)

const apiPath = "/api/v1"

// newAPI makes the JSON API below apiPath, without operations.
func (s *Server) newAPI(e *echo.Echo) huma.API {
	c := huma.DefaultConfig("Slipway", "1")
	c.Info.Description = "Lint, explain and build Dockerfiles. Errors are application/problem+json (RFC 9457)."
	c.Servers = []*huma.Server{{URL: s.BaseURL + apiPath}}
	c.DocsPath, c.SchemasPath = "", "" // huma's own page loads a script from elsewhere; ours is /api
	c.CreateHooks = nil                // they would put "$schema" into every body
	c.Transformers = []huma.Transformer{humaProblems}
	format := huma.Format{Marshal: encodeJSON, Unmarshal: decodeJSON}
	c.Formats = map[string]huma.Format{"application/json": format, "json": format}
	c.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[play.Millis](), reflect.TypeFor[float64]())
	return humaecho.NewWithGroup(e, e.Group(apiPath), c)
}

// operation adds a call to the API. Its errors become problems.
func operation[I, O any](s *Server, api huma.API, method, path, id, does string, handle func(context.Context, *I) (*O, error), also ...func(*huma.Operation)) {
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: does,
		MaxBodyBytes: bodyLimit(s.Limits), BodyReadTimeout: time.Minute,
	}
	for _, change := range also {
		change(&op)
	}
	op.Responses = withProblem(op.Responses, api)
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.noted(ctx, err)
		}
		return out, nil
	})
}

// answers sets the status of success.
func answers(status int) func(*huma.Operation) {
	return func(op *huma.Operation) { op.DefaultStatus = status }
}

// gives says the media types of an answer that is no JSON object.
func gives(does string, mediaTypes ...string) func(*huma.Operation) {
	return func(op *huma.Operation) {
		content := map[string]*huma.MediaType{}
		for _, t := range mediaTypes {
			content[t] = &huma.MediaType{}
		}
		op.Responses = map[string]*huma.Response{"200": {Description: does, Content: content}}
	}
}

// withProblem adds the answer for everything that goes wrong.
func withProblem(responses map[string]*huma.Response, api huma.API) map[string]*huma.Response {
	if responses == nil {
		responses = map[string]*huma.Response{}
	}
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem](), true, "Problem")
	responses["default"] = &huma.Response{
		Description: "What went wrong",
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: schema}},
	}
	return responses
}

// encodeJSON writes JSON in which <, > and & stay as they are.
func encodeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// decodeJSON refuses what encoding/json would silently mend: bytes that are not UTF-8.
func decodeJSON(b []byte, v any) error {
	if !utf8.Valid(b) {
		return errNotUTF8
	}
	return json.Unmarshal(b, v)
}

var errNotUTF8 = errors.New(`it is not valid UTF-8; send such a file as {"base64": "…"}`)
