package api

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// A vocabulary collects the schemas of Go types. A struct of this package becomes a component under its name, to which others
// refer.
type vocabulary struct {
	components map[string]*jsonschema.Schema

	// listed are the types of which there are lists, and the member that identifies an item, empty for a type inside of another
	// one: with select, an item has no other members for certain.
	listed map[reflect.Type]string
}

const componentRef = "#/components/schemas/"

var (
	maybeType = reflect.TypeFor[Maybe]()
	timeType  = reflect.TypeFor[time.Time]()
)

// schema gives the schema of a type.
func (v *vocabulary) schema(t reflect.Type) *jsonschema.Schema {
	if component(t) {
		v.add(t)
		return &jsonschema.Schema{Ref: componentRef + t.Name()}
	}
	return v.infer(t)
}

// component says whether a type becomes a component.
func component(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.Name() != "" && strings.HasSuffix(t.PkgPath(), "protocols/api")
}

func (v *vocabulary) add(t reflect.Type) {
	if _, have := v.components[t.Name()]; have {
		return
	}
	v.components[t.Name()] = nil // against types that contain themselves
	s := v.infer(t)
	s.AdditionalProperties = nil // clients ignore members of later versions
	if id, ok := v.listed[t]; ok {
		if s.Required = nil; id != "" {
			s.Required = []string{id}
		}
	}
	v.components[t.Name()] = s
}

// infer makes the schema of a type, in which other structs are references.
func (v *vocabulary) infer(t reflect.Type) *jsonschema.Schema {
	known := map[reflect.Type]*jsonschema.Schema{
		maybeType: {Types: []string{"null", "string"}},
		timeType:  {Type: "string", Format: "date-time"},
	}
	v.refer(t, t, known)
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: known})
	if err != nil {
		panic(fmt.Sprintf("api: the schema of %v: %v", t, err)) // a fault of a type of this package
	}
	tidy(s, true)
	return s
}

// refer makes a reference of each struct in a type but top itself.
func (v *vocabulary) refer(t, top reflect.Type, known map[reflect.Type]*jsonschema.Schema) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		v.refer(t.Elem(), top, known)
	case reflect.Struct:
		if t != top && component(t) {
			v.add(t)
			known[t] = &jsonschema.Schema{Ref: componentRef + t.Name()}
			return
		}
		if t == timeType {
			return
		}
		for _, f := range reflect.VisibleFields(t) {
			if f.Anonymous && f.Type.Kind() == reflect.Struct {
				continue // its fields are among the visible ones
			}
			v.refer(f.Type, top, known)
		}
	}
}

// tidy makes schemas say what answers are like: a list is never null, and a member that may be left out is left out in place of
// null.
func tidy(s *jsonschema.Schema, required bool) {
	if s == nil {
		return
	}
	if s.Items != nil || s.Ref != "" || !required {
		nullable := slices.Contains(s.Types, "null")
		rest := slices.DeleteFunc(slices.Clone(s.Types), func(t string) bool { return t == "null" })
		switch {
		case !nullable:
		case s.Ref != "" && required:
			*s = jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Ref: s.Ref}, {Type: "null"}}, Description: s.Description}
		case len(rest) == 1:
			s.Type, s.Types = rest[0], nil
		default:
			s.Types = nil
		}
	}
	tidy(s.Items, true)
	for name, p := range s.Properties {
		tidy(p, slices.Contains(s.Required, name))
	}
	tidy(s.AdditionalProperties, true)
}
