/* SPDX-License-Identifier: Apache-2.0
 * A table on a terminal whose rows arrive one by one: lined up by width on the screen, in constant
 * memory. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum { TABLE_COLUMNS = 8, TABLE_ROWS = 256 };

struct table {
    int columns;
    size_t width[TABLE_COLUMNS];
    char *cell[TABLE_ROWS][TABLE_COLUMNS]; /* made safe; waiting to be printed */
    size_t cell_width[TABLE_ROWS][TABLE_COLUMNS];
    int rows;
};

/* Begins a table; the first row is the heading. */
void table_init(struct table *table, int columns);
/* Adds a row of `columns` texts, which are copied. False when memory is out. */
bool table_row(struct table *table, const char *const *cells);
/* Prints the stored rows, and drops them. */
void table_flush(struct table *table);

#endif
