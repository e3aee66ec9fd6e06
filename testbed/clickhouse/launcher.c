/* Runs the ClickHouse that lives inside libchdb with the arguments given:
 *   clickhouse LIBRARY [ClickHouse arguments...]
 * The library's entry takes the command line of clickhouse-local; a query that
 * never ends keeps the listeners up which that query started. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

/* The answer of query_stable_v2, as the library lays it out. */
struct answer {
    char *text;
    size_t length;
    void *owner;
    double seconds;
    uint64_t rows;
    uint64_t bytes;
    char *error;
};

typedef struct answer *(*query_function)(int, char **);

int main(int count, char **arguments) {
    if (count < 2) {
        fprintf(stderr, "usage: %s LIBRARY [ARGUMENT...]\n", arguments[0]);
        return 2;
    }
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) {
        fprintf(stderr, "load the library: %s\n", dlerror());
        return 2;
    }
    query_function query = (query_function)dlsym(library, "query_stable_v2");
    if (query == NULL) {
        fprintf(stderr, "find the library's entry: %s\n", dlerror());
        return 2;
    }
    arguments[1] = "clickhouse";
    struct answer *answer = query(count - 1, arguments + 1);
    if (answer == NULL) {
        fprintf(stderr, "the library gave no answer\n");
        return 1;
    }
    if (answer->error != NULL) {
        fprintf(stderr, "%s\n", answer->error);
        return 1;
    }
    if (answer->text != NULL && fwrite(answer->text, 1, answer->length, stdout) != answer->length) {
        perror("write the answer");
        return 1;
    }
    return 0;
}
