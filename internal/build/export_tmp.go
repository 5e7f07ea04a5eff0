package build

import (
	"context"
	"errors"
)

func CheckOutput(string) error                                   { return nil }
func (b *Builder) Export(context.Context, *Result, string) error { return errors.New("not yet") }
