/* SPDX-License-Identifier: Apache-2.0
 * A table whose rows arrive one by one. The first 256 rows decide how wide the columns are; later
 * batches can only make them wider. So a short table is lined up exactly, and an endless one is
 * printed as it comes. */
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

enum { WIDEST = 60 }; /* a longer cell sticks out instead of pushing all others aside */

void table_init(struct table *table, int columns)
{
    memset(table, 0, sizeof *table);
    table->columns = columns;
}

bool table_row(struct table *table, const char *const *cells)
{
    if (table->rows == TABLE_ROWS)
        table_flush(table);
    int row = table->rows++;
    for (int i = 0; i < table->columns; i++) {
        char *cell = text_safe(cells[i], &table->cell_width[row][i]);
        table->cell[row][i] = cell;
        if (!cell)
            return false;
        size_t width = table->cell_width[row][i];
        if (width <= WIDEST && width > table->width[i])
            table->width[i] = width;
    }
    return true;
}

static void print_row(const struct table *table, int row)
{
    int last = table->columns - 1;
    while (last > 0 && table->cell_width[row][last] == 0)
        last--;
    for (int i = 0; i <= last; i++) {
        size_t width = table->cell_width[row][i];
        fputs(table->cell[row][i], stdout);
        if (i < last)
            printf("%*s", width < table->width[i] ? (int)(table->width[i] - width) + 2 : 2, "");
    }
    putchar('\n');
}

void table_flush(struct table *table)
{
    for (int row = 0; row < table->rows; row++) {
        bool whole = true;
        for (int i = 0; i < table->columns; i++)
            whole = whole && table->cell[row][i];
        if (whole)
            print_row(table, row);
        for (int i = 0; i < table->columns; i++) {
            free(table->cell[row][i]);
            table->cell[row][i] = NULL;
        }
    }
    table->rows = 0;
}
