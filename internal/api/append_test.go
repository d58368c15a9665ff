package api

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// TestAppend fills every member of the documents that are written without reflection, or leaves it out.
func TestAppend(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, share := range []int{0, 1, 2, 3} { // how many of three members are there
		for range 50 {
			appends(t, rng, share, "é\u2028\"\\\x00\x1f\x7f\b\f\n\r\t<&>\xff\xf0\x9f😀\U0001d11e\ufffd\u07ff\uffff")
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add(uint64(5), 2, "plain")
	f.Add(uint64(1), 3, "a\U0001f600\xf0\x28\u2029\"\\/")
	f.Fuzz(func(t *testing.T, seed uint64, share int, text string) {
		appends(t, rand.New(rand.NewPCG(seed, seed)), share, text)
	})
}

// appends compares a random document with what encode makes of it.
func appends(t *testing.T, rng *rand.Rand, share int, text string) {
	t.Helper()
	datas := []any{new([]*userObject), new([]*postObject), new(userObject), new(postObject)}
	data := datas[rng.IntN(len(datas))]
	d := document{Meta: new(meta)}
	fill(rng, share, text, reflect.ValueOf(data).Elem()) // a list is never nil
	switch v := data.(type) {
	case *[]*userObject:
		d.Data = *v
	case *[]*postObject:
		d.Data = *v
	default:
		d.Data = data
	}
	fill(rng, share, text, reflect.ValueOf(&d.Includes).Elem())
	fill(rng, share, text, reflect.ValueOf(d.Meta).Elem())
	if rng.IntN(3) < share {
		d.Errors.add(object{"detail", text})
	}
	want := string(mustEncode(d))
	got, ok := appendDocument([]byte("before"), &d)
	if !ok || string(got) != "before"+want {
		t.Fatalf("got\n%s, want\n%s", got, want)
	}
}

// fill gives members a value, each with the chance of share in three.
func fill(rng *rand.Rand, share int, text string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && rng.IntN(3) < share {
				fill(rng, share, text, v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(rng, share, text, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 2))
		for range rng.IntN(3) {
			one := reflect.New(v.Type().Elem()).Elem()
			fill(rng, share, text, one)
			v.Set(reflect.Append(v, one))
		}
	case reflect.String:
		v.SetString(strings.Repeat(text, rng.IntN(3)))
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(rng.Uint64() >> rng.IntN(64)))
	default:
		panic(v.Kind())
	}
}
