package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// logKeys is the closed list of attributes of log lines. A peer is a node of the group, a server any other server, and a
// client an address.
var logKeys = strings.Fields(`
	stream session node peer server client proto
	err bytes dropped
	actor input reason age in stack addr file
	streams segments number moved closed
`)

// TestNoLogKeyIsOutsideTheList: lines of the log can be grouped by their message, which is constant, and searched by
// attributes, whose names are those of the list.
func TestNoLogKeyIsOutsideTheList(t *testing.T) {
	p := wholeProgram(t)
	for _, files := range p.files {
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					for _, problem := range logProblems(p.info, call) {
						file, line := p.at(call.Pos())
						t.Errorf("%s:%d: %s", file, line, problem)
					}
				}
				return true
			})
		}
	}
}

// logProblems says what is wrong with a call that writes to a log or makes an attribute or an event for one.
func logProblems(info *types.Info, call *ast.CallExpr) (problems []string) {
	message, keys := logArguments(info, call)
	if message != nil && info.Types[message].Value == nil && !fromTable(message) {
		problems = append(problems, "the message "+types.ExprString(message)+" is not constant")
	}
	for _, k := range keys {
		if v := info.Types[k].Value; v == nil || !slices.Contains(logKeys, constant.StringVal(v)) {
			problems = append(problems, fmt.Sprintf("the key %s is not one of %s", types.ExprString(k), strings.Join(logKeys, ", ")))
		}
	}
	return problems
}

// fromTable says whether a message comes from a table of events or notes, whose sentences are constant.
func fromTable(message ast.Expr) bool {
	switch m := message.(type) {
	case *ast.CallExpr:
		return fromTable(m.Fun)
	case *ast.SelectorExpr:
		return m.Sel.Name == "Text"
	case *ast.IndexExpr:
		return true
	}
	return false
}

// logArguments gives the message of a call and the keys of its attributes, as far as there are any.
func logArguments(info *types.Info, call *ast.CallExpr) (message ast.Expr, keys []ast.Expr) {
	var id *ast.Ident
	switch f := call.Fun.(type) {
	case *ast.Ident:
		id = f
	case *ast.SelectorExpr:
		id = f.Sel
	}
	fn, ok := info.Uses[id].(*types.Func)
	if id == nil || !ok || fn.Pkg() == nil {
		return nil, nil
	}
	attrs := call.Args
	switch pkg, method := fn.Pkg().Path(), fn.Signature().Recv() != nil; {
	case pkg == module+"/actors/act" && slices.Contains([]string{"Debug", "Info", "Warn"}, fn.Name()):
		return call.Args[1], nil
	case pkg != "log/slog" || len(call.Args) == 0:
		return nil, nil
	case !method && slices.Contains([]string{"String", "Int", "Int64", "Uint64", "Bool", "Float64", "Duration", "Time", "Any", "Group"}, fn.Name()):
		return nil, call.Args[:1]
	case method && fn.Name() == "With":
	case method && slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, fn.Name()):
		message, attrs = attrs[0], attrs[1:]
	case method && slices.Contains([]string{"DebugContext", "InfoContext", "WarnContext", "ErrorContext"}, fn.Name()):
		message, attrs = attrs[1], attrs[2:]
	case method && slices.Contains([]string{"Log", "LogAttrs"}, fn.Name()):
		message, attrs = attrs[2], attrs[3:]
	default:
		return nil, nil
	}
	for i := 0; i < len(attrs) && call.Ellipsis == token.NoPos; i++ {
		if types.TypeString(info.TypeOf(attrs[i]), nil) != "log/slog.Attr" {
			keys = append(keys, attrs[i])
			i++ // its value
		}
	}
	return message, keys
}
