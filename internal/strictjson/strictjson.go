// Package strictjson decodes JSON of formats that are not X's: [Unmarshal]. Two readers of one text must not
// understand it differently, so member names are exact, none stands twice, texts are UTF-8, and nothing follows the value.
package strictjson

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json" // encoding/json/v2, which the standard library has from Go 1.27 on
	"github.com/go-json-experiment/json/jsontext"
)

// Unmarshal decodes text, which has no member that v does not know.
func Unmarshal(text []byte, v any) error {
	return plain(json.Unmarshal(text, v, json.RejectUnknownMembers(true)))
}

// UnmarshalKnown decodes the members that v knows; there may be others.
func UnmarshalKnown(text []byte, v any) error { return plain(json.Unmarshal(text, v)) }

// mistake is an error in words, of which a member that decodes itself may return one.
type mistake struct{ error }

func (m mistake) Unwrap() error { return m.error }

// Mistake is what is wrong with a member, for one that decodes itself.
func Mistake(text string) error { return mistake{errors.New(text)} }

// plain says in words of JSON what is wrong, and where.
func plain(err error) error {
	if err == nil {
		return nil
	}
	return mistake{inWords(err)}
}

func inWords(err error) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if syntax.Err == jsontext.ErrDuplicateName {
			return fmt.Errorf("member %q stands twice", syntax.JSONPointer.LastToken())
		}
		return fmt.Errorf("no JSON from byte %d on: %w", syntax.ByteOffset+1, syntax.Err)
	}
	wrong, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return err
	}
	what := "the value"
	if name := wrong.JSONPointer.LastToken(); name != "" {
		what = fmt.Sprintf("member %q", name)
	}
	switch {
	case wrong.Err == json.ErrUnknownName:
		return fmt.Errorf("unknown %s; names are exact", what)
	case isMistake(wrong.Err):
		return fmt.Errorf("%s: %w", what, wrong.Err)
	case wrong.Err == nil || wrong.JSONValue == nil && wrong.JSONKind != '"':
		return fmt.Errorf("%s cannot be %s", what, kinds[wrong.JSONKind])
	}
	return fmt.Errorf("%s: %w", what, wrong.Err)
}

func isMistake(err error) bool {
	_, ok := errors.AsType[mistake](err)
	return ok
}

var kinds = map[jsontext.Kind]string{'n': "null", 't': "true", 'f': "false", '"': "a string", '0': "a number", '{': "an object",
	'[': "an array"}
