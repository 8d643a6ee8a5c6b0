package api

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// The parts of an OpenAPI 3.1 document that this one has.
type (
	document struct {
		OpenAPI    string                                  `json:"openapi"`
		Info       map[string]string                       `json:"info"`
		Servers    []map[string]string                     `json:"servers"`
		Paths      map[string]map[string]documentOperation `json:"paths"`
		Components documentComponents                      `json:"components"`
	}
	documentComponents struct {
		Schemas  map[string]*jsonschema.Schema `json:"schemas"`
		Security map[string]any                `json:"securitySchemes"`
	}
	documentOperation struct {
		ID         string                      `json:"operationId"`
		Summary    string                      `json:"summary"`
		Security   []map[string][]string       `json:"security,omitempty"`
		Parameters []documentParameter         `json:"parameters,omitempty"`
		Body       *documentContent            `json:"requestBody,omitempty"`
		Responses  map[string]*documentContent `json:"responses"`
	}
	documentParameter struct {
		Name     string             `json:"name"`
		In       string             `json:"in"`
		Doc      string             `json:"description,omitempty"`
		Required bool               `json:"required,omitempty"`
		Schema   *jsonschema.Schema `json:"schema"`
	}
	documentContent struct {
		Doc      string                   `json:"description"`
		Required bool                     `json:"required,omitempty"`
		Content  map[string]documentMedia `json:"content,omitempty"`
	}
	documentMedia struct {
		Schema *jsonschema.Schema `json:"schema,omitempty"`
	}
)

// newDocument makes the OpenAPI document of the operations. settings are the schemas of the settings that the configuration file
// can have, by kind.
func newDocument(version string, settings map[string]json.RawMessage) *document {
	v := &vocabulary{components: map[string]*jsonschema.Schema{}, listed: map[reflect.Type]string{}}
	for _, o := range operations {
		if o.answer.list != "" && o.answer.kind == "" {
			v.listed[o.answer.of] = o.answer.id
			for _, f := range reflect.VisibleFields(o.answer.of) {
				if component(f.Type) {
					v.listed[f.Type] = "" // as stats of a peer, of which select takes members too
				}
			}
		}
	}
	for kind, text := range settings {
		s := &jsonschema.Schema{}
		if err := json.Unmarshal(text, s); err != nil {
			panic("api: the schema of the settings of a " + kind + ": " + err.Error())
		}
		v.components[settingsName(kind)] = s
	}
	failure := &documentContent{
		Doc: "What is wrong, and what was expected.", Content: map[string]documentMedia{
			jsonMedia: {v.schema(reflect.TypeFor[Failure]())},
		},
	}
	d := &document{
		OpenAPI: "3.1.0",
		Info:    map[string]string{"title": "weir", "version": version, "description": "The API of a node of a weir cluster. Every node answers for all of it."},
		Servers: []map[string]string{{"url": "/"}},
		Paths:   map[string]map[string]documentOperation{},
	}
	for i := range operations {
		o := &operations[i]
		if d.Paths[o.path] == nil {
			d.Paths[o.path] = map[string]documentOperation{}
		}
		d.Paths[o.path][strings.ToLower(o.method)] = v.operation(o, failure)
	}
	d.Components = documentComponents{Schemas: v.components, Security: map[string]any{
		"basic": map[string]string{"type": "http", "scheme": "basic", "description": "edit_auth or view_auth of the file."},
		"bearer": map[string]string{
			"type": "http", "scheme": "bearer", "description": "The base64 text of USER:PASSWORD, as for Basic.",
		},
	}}
	return d
}

func settingsName(kind string) string {
	if kind == "" {
		return ""
	}
	return strings.ToUpper(kind[:1]) + kind[1:] + "Settings"
}

func (v *vocabulary) operation(o *operation, failure *documentContent) documentOperation {
	out := documentOperation{ID: o.id, Summary: o.summary, Responses: map[string]*documentContent{
		"200": {Doc: "The answer.", Content: v.content(&o.answer)}, "default": failure,
	}}
	if o.needs != free { // {} because neither is needed where the file sets none
		out.Security = []map[string][]string{{}, {"basic": {}}, {"bearer": {}}}
	}
	if _, rest, ok := strings.Cut(o.path, "{"); ok {
		name, _, _ := strings.Cut(rest, "}")
		out.Parameters = append(out.Parameters, documentParameter{
			Name: name, In: "path", Required: true, Schema: &jsonschema.Schema{Type: "string"},
			Doc: "A name with slashes may be escaped or not.",
		})
	}
	for _, p := range o.params {
		s := &p.schema
		if p.many {
			s = &jsonschema.Schema{Type: "array", Items: s}
		}
		out.Parameters = append(out.Parameters, documentParameter{Name: p.name, In: "query", Doc: p.doc, Required: p.must, Schema: s})
	}
	if o.body != nil {
		out.Body = &documentContent{Doc: "What is to be.", Required: true, Content: v.content(o.body)}
	}
	return out
}

const jsonMedia = "application/json"

// content gives the media types of a body or an answer, and their schemas.
func (v *vocabulary) content(c *content) map[string]documentMedia {
	media := c.media
	if media == "" {
		media = jsonMedia
	}
	out := map[string]documentMedia{media: {v.contentSchema(c)}}
	for _, w := range c.words {
		out[w] = documentMedia{&jsonschema.Schema{Type: "string"}}
	}
	return out
}

func (v *vocabulary) contentSchema(c *content) *jsonschema.Schema {
	settings := &jsonschema.Schema{Type: "object"}
	if name := settingsName(c.kind); v.components[name] != nil {
		settings = &jsonschema.Schema{Ref: componentRef + name}
	}
	switch {
	case c.kind != "" && c.list == "":
		return settings
	case c.list != "":
		cursor := &jsonschema.Schema{Types: []string{"null", "string"}}
		items := settings
		if c.kind == "" {
			items = v.schema(c.of)
		}
		return &jsonschema.Schema{
			Type: "object", Required: []string{c.list, "estimated_count", "next", "prev", "timing"},
			Properties: map[string]*jsonschema.Schema{
				c.list:            {Type: "array", Items: items},
				"estimated_count": {Type: "integer", Description: "Items that the filters let through, those on other pages included."},
				"next":            cursor, "prev": cursor,
				"timing": {Type: "object"},
			},
		}
	case c.of == nil:
		return &jsonschema.Schema{Type: "string"}
	case c.of.Kind() == reflect.Interface:
		return &jsonschema.Schema{Type: "object"}
	}
	return v.schema(c.of)
}

// listParameters are the parameters of a list of items with these fields.
func listParameters[T any](fields []field[T]) []parameter {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	by := strings.Join(names, ", ")
	params := []parameter{
		word("select", "Members that items have, with commas between, dotted ones inside others; the one that identifies an item is always there."),
		word("sort", "Fields to sort by, with commas between; - in front of one means the greatest first. Fields: "+by+"."),
		whole("limit", "Items of a page; 100 if it is not given.", 1, maxLimit),
		word("cursor", "next or prev of another page of the list."),
	}
	for _, f := range fields {
		var zero T
		kind := "string"
		switch f.get(&zero).(type) {
		case float64:
			kind = "number"
		case bool:
			kind = "boolean"
		}
		for _, c := range filters {
			if slices.Contains(c.kinds, kind) {
				p := parameter{name: f.name + c.suffix, doc: c.doc, schema: jsonschema.Schema{Type: kind}}
				if c.suffix == "_is" {
					p.schema = jsonschema.Schema{Type: "string", Enum: []any{"null", "not_null"}}
				}
				params = append(params, p)
			}
		}
	}
	return params
}
