package machine

import "github.com/goccy/go-yaml/token"

// tooDeep returns the token at which values are nested deeper than maxDepth,
// nil if there is none. The parser recurses, so this is found out before.
//
// Flow collections count by their brackets. A block collection is deeper than
// another when its first column is further right, so open ones are a stack of
// columns.
func tooDeep(tokens token.Tokens) *token.Token {
	var columns []int
	flow := 0
	for _, tk := range tokens {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow = max(0, flow-1)
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if flow > 0 {
				continue // columns say nothing inside brackets
			}
			column := blockColumn(tk)
			for len(columns) > 0 && columns[len(columns)-1] >= column {
				columns = columns[:len(columns)-1]
			}
			columns = append(columns, column)
		}
		if flow+len(columns) > maxDepth {
			return tk
		}
	}
	return nil
}

// blockColumn is where the collection begins that a token belongs to: for a
// colon, the column of the key before it.
func blockColumn(tk *token.Token) int {
	if p := tk.Prev; tk.Type == token.MappingValueType && p != nil && p.Position.Line == tk.Position.Line {
		return p.Position.Column
	}
	return tk.Position.Column
}
