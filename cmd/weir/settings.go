package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"weir/cluster/conf"
)

// Settings are the flags that stand for directives. Their values are kept as text, which package conf reads as the directives of the
// same names.
type Settings struct {
	kong.Plugins // one pointer to a struct with a field for each of [conf.NodeFlags]
}

// newSettings makes the flags from the table of directives.
func newSettings() Settings {
	var fields []reflect.StructField
	for i, f := range conf.NodeFlags() {
		tag := fmt.Sprintf("name:%q env:%q placeholder:%q help:%q", f.Name, variable(f.Name), f.Placeholder, f.Help)
		if f.PerLine {
			tag += ` sep:"none"`
		}
		kind := reflect.TypeFor[string]()
		if f.Many {
			kind = reflect.TypeFor[[]string]()
		}
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("Flag%d", i), Type: kind, Tag: reflect.StructTag(tag)})
	}
	return Settings{kong.Plugins{reflect.New(reflect.StructOf(fields)).Interface()}}
}

// variable is the environment variable that stands for a flag.
func variable(flag string) string {
	return "WEIR_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// flags converts the settings for package conf.
func (s Settings) flags() conf.Flags {
	values := map[string][]string{}
	given := reflect.ValueOf(s.Plugins[0]).Elem()
	for i, f := range conf.NodeFlags() {
		switch v := given.Field(i).Interface().(type) {
		case string:
			values[f.Name] = []string{v}
		case []string:
			if f.PerLine {
				v = lines(v)
			}
			values[f.Name] = v
		}
	}
	return conf.Flags{Values: values, Self: hostnames()}
}

// lines splits the text of an environment variable that has one value per line.
func lines(values []string) []string {
	var out []string
	for _, v := range values {
		for line := range strings.Lines(v) {
			if line = strings.TrimSpace(line); line != "" {
				out = append(out, line)
			}
		}
	}
	return out
}

// hostnames are the names by which capture_at may mean this machine.
func hostnames() []string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return nil
	}
	short, _, _ := strings.Cut(name, ".")
	return []string{name, short}
}
